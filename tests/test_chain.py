"The smoke chain by papermill and Snakemake, in copies of the repository: what it makes, repeats, and says of errors."
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from copies import ODD, ROOT, STUDY, copy_repository, kill_after, link_environment, snakemake, surroundings
from nbclient import NotebookClient
from safetensors.numpy import load_file

from maskfer_nb import runs
from maskfer_nb.chain import check_parameters, default_parameters, own_kernel
from maskfer_nb.files import hold
from maskfer_nb.layouts import LAYOUTS
from maskfer_nb.pictures import read_bytes
from maskfer_nb.sources import SHIPPED, load
from maskfer_nb.study import NETWORKS

RUN = Path("runs/smoke-rendered")
DRY = ("--cores", "2", "--dry-run")
ODDER = f'{ODD} & "$x"'


def make(folder, *words, **environment):
    "`make` in a copy, whose environment is a link to this one."
    for name in ("Makefile", "settings.ini"): shutil.copy(ROOT / name, folder)
    link_environment(folder)
    command = ["make", "--silent", "--old-file", ".venv/installed", *words]
    environment = surroundings(folder, MAKEFLAGS="", **environment)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def foreign_kernel(tmp_path_factory):
    "A JUPYTER_PATH on which `python3` is another program, as where several environments share a server."
    folder = tmp_path_factory.mktemp("jupyter")
    (folder / "kernels/python3").mkdir(parents=True)
    spec = dict(argv=["false"], display_name="Another Python", language="python")
    (folder / "kernels/python3/kernel.json").write_text(json.dumps(spec))
    return str(folder)


@pytest.fixture(scope="module")
def no_renderer(tmp_path_factory):
    "A folder of Python's path with which mitsuba is as good as not installed."
    folder = tmp_path_factory.mktemp("blocked")
    for name in ("mitsuba", "drjit"): (folder / f"{name}.py").write_text("raise ImportError('nothing is rendered')")
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory, foreign_kernel, no_renderer):
    "A copy in which `make` has run the smoke chain, to be looked at and not changed; and how its run ended."
    folder, start = copy_repository(tmp_path_factory.mktemp("done") / ODDER), time.monotonic()
    result = make(folder, "reproduce", "PROFILE=smoke", JUPYTER_PATH=foreign_kernel,
                  PYTHONPATH=f"{folder}:{no_renderer}")
    assert result.returncode == 0, result.stdout + result.stderr
    print(f"smoke chain: {time.monotonic() - start:.0f} s")
    return folder, result


@pytest.fixture
def smoke(done, tmp_path):
    "A copy of that, time stamps and all, for one test to change."
    return shutil.copytree(done[0], tmp_path / "smoke", symlinks=True)


@pytest.fixture
def copy(tmp_path):
    "A copy in which nothing has run."
    return copy_repository(tmp_path / "copy")


def change_profile(folder, step, **changes):
    path = folder / "profiles/smoke.yaml"
    profile = yaml.safe_load(path.read_text())
    profile[step].update(changes)
    path.write_text(yaml.safe_dump(profile))


def executed(folder):
    "When each notebook of the run was executed."
    run = folder / RUN
    return {path.relative_to(run).with_suffix("").as_posix(): path.stat().st_mtime_ns for path in run.rglob("*.ipynb")}


def jobs(result):
    "Rule → how many jobs of it a dry run would start."
    assert result.returncode == 0, result.stdout + result.stderr
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", result.stdout, re.M) if rule != "total"}


def test_it_makes_every_table_and_figure(done):
    folder, result = done
    run = folder / RUN
    tables, figures = (f"tables/table{n}.csv" for n in (1, 2, 3)), (f"figures/figure{n}.png" for n in (5, 6, 7))
    for name in ["report.html", "provenance.json", "data/rejects.csv", *tables, *figures]:
        assert (run / name).stat().st_size > 0, name
    assert f"{RUN}: {len(list(run.rglob('*.ipynb')))} notebooks to run" in result.stdout
    assert "report.html" in result.stdout and re.search("✓ .*03_fecn: [0-9]+ s", result.stderr)
    for network in ("fecn", "guided"):
        predictions = pd.read_parquet(run / f"seed0/{network}/predictions.parquet")
        assert len(predictions) == 64 and np.allclose(predictions.filter(regex="^p_").sum(axis=1), 1, atol=1e-4)
    for network in ("mcn", "guided_mcn"):
        maps = np.load(run / f"seed0/{network}/attention.npz")["attention"]
        assert maps.shape == (128, 6, 6) and 0 <= maps.min() <= maps.max() <= 1
    assert not list(run.rglob("*.pkl")) and not list(run.rglob("*.pt*")) and not list(run.rglob("*partial*"))


def test_nothing_is_rendered(done, no_renderer):
    "`done` ran where mitsuba cannot be imported."
    result = subprocess.run([sys.executable, "-c", "import mitsuba"], capture_output=True, text=True,
                            env=surroundings(done[0], PYTHONPATH=str(no_renderer)))
    assert "nothing is rendered" in result.stderr
    assert not (done[0] / "runs/faces").exists()
    table1 = pd.read_csv(done[0] / RUN / "data/table1.csv")
    assert set(table1.source) == {"rendered"} and table1.query("`class` == 'all'").test.tolist() == [32, 64]


def test_fecn_looks_through_the_map_of_its_own_mcn(done):
    "The generator that a FECN is stored with is that of the MCN that it was made from, weight for weight."
    weights = lambda name: load_file(done[0] / RUN / f"seed0/{name}/model.safetensors")
    of = lambda network: {key: value for key, value in weights(network).items() if key.startswith("generator.")}
    same = lambda one, other: one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)
    assert same(of("fecn"), of("mcn")) and same(of("guided"), of("guided_mcn")) and not same(of("fecn"), of("guided"))
    history = pd.read_csv(done[0] / RUN / "seed0/guided_mcn/history.csv")
    assert len(history) == 20 and set(history.picks) == {"loss"}


def test_provenance_says_what_was_done(done):
    steps = json.loads((done[0] / RUN / "provenance.json").read_text())
    assert list(steps) == ["01_datasets", "seed0/02_mcn", "seed0/02_mcn-guided", "seed0/03_fecn",
                           "seed0/03_fecn-guided", "04_evaluation"]
    assert list(steps["01_datasets"]["inputs"]) == ["rendered.zip"]
    assert [steps[f"seed0/{name}"]["device"] for name in ("02_mcn", "03_fecn-guided")] == ["CPU, 1 threads"] * 2
    for step in steps.values():
        assert {"commit", "parameters", "packages", "device", "seconds", "inputs"} <= set(step)
    assert steps["seed0/02_mcn"]["parameters"]["epochs"] == 15 and "data" in steps["seed0/02_mcn"]["inputs"]


def test_a_second_run_does_nothing(smoke):
    before = executed(smoke)
    assert snakemake(smoke).returncode == 0
    assert len(before) == 6 and executed(smoke) == before


def test_a_changed_parameter_repeats_what_depends_on_it_and_no_more(smoke):
    before = executed(smoke)
    change_profile(smoke, "fecn", epochs=1)
    result = snakemake(smoke)
    assert result.returncode == 0, result.stdout + result.stderr
    after = executed(smoke)
    again = {"seed0/03_fecn", "seed0/03_fecn-guided", "04_evaluation"}
    assert {name for name in after if after[name] != before[name]} == again
    assert len(pd.read_csv(smoke / RUN / "seed0/fecn/history.csv")) == 1


@pytest.mark.parametrize("module, first", [
    ("landmarks", "datasets"), ("networks", "mcn"), ("statistics", "evaluation")])
def test_changed_code_repeats_what_rests_on_it_and_no_more(smoke, module, first):
    "However many modules lie between it and the notebook."
    with open(smoke / f"maskfer_nb/{module}.py", "a") as file: file.write("\nCHANGED = True\n")
    chain = ["datasets", "mcn", "guided_mcn", "fecn", "guided", "evaluation", "all"]
    assert jobs(snakemake(smoke, where=DRY)) == dict.fromkeys(chain[chain.index(first) :], 1)


def test_changed_code_of_the_renderer_repeats_nothing_and_other_faces_everything(smoke):
    for name in ("faces", "paint", "face_set"):
        with open(smoke / f"maskfer_nb/{name}.py", "a") as file: file.write("\nCHANGED = True\n")
    assert set(jobs(snakemake(smoke, where=DRY))) <= {"all"}
    faces = smoke / SHIPPED
    content = faces.read_bytes()
    faces.unlink()
    faces.write_bytes(content)
    assert jobs(snakemake(smoke, where=DRY))["datasets"] == 1


def test_without_its_faces_the_chain_says_how_they_are_made(copy):
    (copy / SHIPPED).unlink()
    result = snakemake(copy)
    assert result.returncode and "✗ data/rendered.zip is not there: make faces renders it" in result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) < 12


def test_what_an_interrupted_step_has_lost_is_made_again_although_an_older_report_is_there(smoke):
    "Snakemake removes a step's results when it fails."
    for network in ("vgg11", "abn", "fecn"): (smoke / RUN / f"seed0/{network}/predictions.parquet").unlink()
    assert (smoke / RUN / "report.html").exists()
    assert jobs(snakemake(smoke, where=DRY)) == dict.fromkeys(["fecn", "evaluation", "all"], 1)


@pytest.mark.parametrize("lost, again", [
    ("mcn/history.csv", ["mcn", "fecn", "evaluation", "all"]), ("fecn/gradcam.npz", ["fecn", "evaluation", "all"])])
def test_a_file_that_the_evaluation_reads_is_made_again(smoke, lost, again):
    (smoke / RUN / "seed0" / lost).unlink()
    assert jobs(snakemake(smoke, where=DRY)) == dict.fromkeys(again, 1)


def test_data_that_changed_in_place_is_read_again(smoke):
    "Also where its time stands still, as that of a folder does, or of a zip that another is moved over."
    faces = smoke / SHIPPED
    time_of = faces.stat()
    content = faces.read_bytes()
    faces.unlink()
    faces.write_bytes(content)
    os.utime(faces, ns=(time_of.st_atime_ns, time_of.st_mtime_ns))
    assert set(jobs(snakemake(smoke, where=DRY))) <= {"all"}
    with zipfile.ZipFile(faces, "a") as archive: archive.writestr("pictures/another.webp", b"")
    os.utime(faces, ns=(time_of.st_atime_ns, time_of.st_mtime_ns))
    assert jobs(snakemake(smoke, where=DRY))["datasets"] == 1


def test_other_data_does_not_take_the_place_of_a_run(smoke):
    shutil.copy(smoke / SHIPPED, smoke / "data/mine.zip")
    result = snakemake(smoke, where=DRY, DATA="data/mine.zip")
    said = f"✗ {RUN} is the run of rendered.zip: rename or remove that folder to run mine.zip"
    assert result.returncode and said in result.stderr and "Traceback" not in result.stderr
    (smoke / RUN).rename(smoke / "runs/first")
    assert jobs(snakemake(smoke, where=DRY, DATA="data/mine.zip"))["datasets"] == 1


def test_a_home_that_cannot_be_written_is_not_needed(copy):
    result = make(copy, "reproduce", "PROFILE=smoke", f"SNAKEMAKE=$(HOMELESS); {' '.join(('$(RUN) snakemake', *DRY))}",
                  HOME="/proc/nobody", XDG_CACHE_HOME="")
    assert jobs(result)["datasets"] == 1


def test_changed_prose_repeats_nothing(smoke):
    path = smoke / "nbs/02_mcn.ipynb"
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown": cell.source += "\n\nMore could be said."
    nbformat.write(notebook, path)
    assert set(jobs(snakemake(smoke, where=DRY))) <= {"all"}


def test_a_chain_that_was_killed_goes_on_and_predicts_the_same(smoke):
    made = [smoke / RUN / f"seed0/mcn/{name}" for name in ("model.safetensors", "predictions.parquet", "attention.npz")]
    results = lambda: [path.read_bytes() for path in made]
    data = lambda: json.loads((smoke / RUN / "seed0/02_mcn.json").read_text())["inputs"]["data"]
    first = data(), results()
    shutil.rmtree(smoke / RUN / "data")
    shutil.rmtree(smoke / RUN / "seed0/mcn")
    targets, checkpoint = [f"{RUN}/seed0/mcn/model.safetensors"], smoke / RUN / "seed0/mcn/checkpoint.safetensors"
    _, at_work, _ = kill_after(smoke, when=checkpoint.exists, targets=targets)
    assert at_work and not (smoke / RUN / "seed0/mcn/predictions.parquet").exists()
    faces = (smoke / RUN / "01_datasets.json").stat().st_mtime_ns
    assert snakemake(smoke, targets=targets).returncode == 0
    assert (data(), results()) == first and (smoke / RUN / "01_datasets.json").stat().st_mtime_ns == faces


def test_a_second_engine_is_told_to_wait(smoke):
    with hold(smoke / RUN): result = snakemake(smoke, targets=["--forcerun", "evaluation"])
    said = rf"✗ {RUN}: process \d+ on .* is at work here; wait for it, or stop it"
    assert result.returncode and re.search(said, result.stderr) and "Traceback" not in result.stderr


@pytest.mark.parametrize("changes, message", [
    ({"epoch": 3}, "02_mcn.ipynb: no parameter 'epoch'; it has run, seed, width"),
    ({"epochs": "many"}, "02_mcn.ipynb: 'epochs' must be int, not 'many'"),
])
def test_a_wrong_parameter_is_an_error_that_names_it(smoke, changes, message):
    change_profile(smoke, "mcn", **changes)
    result = snakemake(smoke)
    assert result.returncode != 0 and message in result.stderr


def test_a_failing_cell_stops_the_chain_with_its_error_and_keeps_the_notebook(smoke):
    change_profile(smoke, "mcn", combine="sum")
    result = snakemake(smoke)
    assert result.returncode != 0 and "02_mcn.ipynb, cell" in result.stderr and "KeyError: 'sum'" in result.stderr
    kept = nbformat.read(smoke / RUN / "seed0/02_mcn.ipynb", 4)
    outputs = [output for cell in kept.cells for output in cell.get("outputs", [])]
    assert any(output.output_type == "error" and output.ename == "KeyError" for output in outputs)


@pytest.mark.parametrize("make_data, message", [
    (lambda path: None, "faces: no such folder or zip"),
    (lambda path: path.mkdir(), "faces: empty"),
    (lambda path: [(path / name).mkdir(parents=True) for name in ("cats", "dogs")], "RAF-DB is requested"),
])
def test_wrong_data_is_one_error(copy, tmp_path, make_data, message):
    make_data(tmp_path / "faces")
    result = snakemake(copy, DATA=str(tmp_path / "faces"))
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) < len(LAYOUTS) + 4


def test_a_study_fills_its_table_and_repeats_only_what_is_missing(smoke):
    (smoke / "profiles/study.yaml").write_text(yaml.safe_dump(STUDY))
    result = snakemake(smoke, targets=["study"])
    assert result.returncode == 0, result.stdout + result.stderr
    found = smoke / "results/study"
    rows = pd.read_csv(found / "runs.csv")
    networks = ["mcn", "guided_mcn", "vgg11", "abn", "fecn", "guided", "guided_residual", "shared"]
    assert rows.groupby("network").seed.nunique().to_dict() == dict.fromkeys(networks, 2)
    assert rows.accuracy.between(0, 1).all() and rows[rows.network == "mcn"].masked_eyes.between(0, 1).all()
    text = (smoke / "RESULTS.md").read_text()
    assert "## rendered-rigid" in text and "all test faces, balanced" in text and "nan" not in text
    assert rows.pretrained.eq("bare faces of rendered, epochs: 1").all() and (rows.rest > 0).all()
    assert (smoke / "figures/study/figure7.png").stat().st_size > 0

    first, path = found / "rendered-rigid/seed1", found / "rendered-rigid/seed1/runs.csv"
    time_of = lambda name: (first / name / "predictions.parquet").stat().st_mtime_ns
    before, times = pd.read_csv(path), {name: time_of(name) for name in ("vgg11", "fecn")}
    answers = (first / "fecn/predictions.parquet").read_bytes()
    before.query("network != 'fecn'").assign(precision="another processor's").to_csv(path, index=False)
    result = snakemake(smoke, targets=["study", "--forcerun", "study_seed"])
    assert result.returncode == 0, result.stdout + result.stderr
    told = lambda rows: rows.set_index("network")[["accuracy", "epoch"]].sort_index()
    assert told(pd.read_csv(path)).equals(told(before))
    assert time_of("vgg11") == times["vgg11"] and time_of("fecn") > times["fecn"]
    assert (first / "fecn/predictions.parquet").read_bytes() == answers


def test_the_graph_knows_with_which_network_a_seed_has_finished():
    said = re.search(r"(?m)^LAST = ({.*?})", (ROOT / "study.smk").read_text())[1]
    assert ast.literal_eval(said) == {name: networks[-1] for name, networks in NETWORKS.items() if networks}


def test_a_cluster_would_get_every_step_as_a_job(copy):
    "`make test-slow` runs it on a real SLURM."
    planned = jobs(snakemake(copy, SHARDS="2", where=("--workflow-profile", "profiles/slurm", "--dry-run")))
    assert planned == dict(shard=6, datasets=1, mcn=1, guided_mcn=1, fecn=1, guided=1, evaluation=1, all=1)


def test_a_study_without_its_photographs_says_how_to_name_them(copy):
    result = make(copy, "study")
    assert result.returncode != 0 and "make study FERPLUS=folder-or-zip" in result.stderr


TYPED = ["2013", "1e3", "0x7", "1_000", "null", "~", "~/faces", "it's", 'a "b"', "$HOME $(x) `y`", "a#b", "a: b",
         "[a]", "{a}", "-n", "\\n", "a;b|c&d", "*", "ü", "/with a space/"]
TELL = """"$$BIN"/python -c 'import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))'"""


@pytest.mark.parametrize("goal, names", [
    ("reproduce", ("PROFILE", "SOURCE", "DATA", "SEEDS", "SHARDS")),
    ("study", ("STUDY", "FERPLUS", "FACIAL_EXPRESSIONS"))])
@pytest.mark.parametrize("typed", TYPED)
def test_make_hands_on_what_was_typed(tmp_path, goal, names, typed):
    "By the environment, from its own and from the command line, and nothing of it as a word of Snakemake's."
    for result in (make(tmp_path, goal, f"SNAKEMAKE={TELL}", *(f"{name}={typed}" for name in names)),
                   make(tmp_path, goal, f"SNAKEMAKE={TELL}", **dict.fromkeys(names, typed))):
        words, told = json.loads(result.stdout)
        assert words == ["study"] * (goal == "study") and {told[name] for name in names} == {typed}


@pytest.mark.parametrize("typed, meant", [("2013", "2013"), ("~//1e3/", "{home}/1e3")])
def test_data_is_a_path_whatever_it_looks_like(copy, tmp_path, typed, meant):
    meant = meant.format(home=tmp_path)
    (copy / meant / "happy").mkdir(parents=True)
    result = snakemake(copy, DATA=typed, HOME=str(tmp_path), where=DRY, targets=["datasets"])
    assert re.findall("^ +input: (.*)", result.stdout, re.M) == [meant], result.stdout + result.stderr


def test_data_sets_are_made_of_a_folder_with_any_name(copy, foreign_kernel):
    name = f"-2013 {ODDER}"
    for face in load(copy / SHIPPED)[0].head(80).itertuples():
        (copy / name / face.label).mkdir(parents=True, exist_ok=True)
        (copy / name / face.label / f"{face.face_id}.webp").write_bytes(read_bytes(face.path))
    result = make(copy, "reproduce", f"DATA={name}", "SNAKEMAKE=$(RUN) snakemake --cores all datasets",
                  JUPYTER_PATH=foreign_kernel)
    assert result.returncode == 0, result.stdout + result.stderr
    run = copy / "runs/smoke-folders"
    made = json.loads((run / "01_datasets.json").read_text())
    assert made["parameters"]["data"] == name and list(made["inputs"]) == [name]
    assert len(pd.read_csv(run / "data/mfer/train/metadata.csv")) > 20


@pytest.mark.parametrize("told, message", [
    ({"SEEDS": "0 1e3"}, "✗ SEEDS: '1e3' is not a whole number"),
    ({"SEEDS": "9" * 20}, f"✗ SEEDS: {'9' * 20} has more than nine digits"),
    ({"SEEDS": ","}, "✗ SEEDS: ',' names no seed"),
    ({"SHARDS": "0"}, "✗ SHARDS: at least one is needed"),
    ({"PROFILE": "nope"}, "✗ PROFILE: 'nope' is not one of paper, small, smoke"),
    ({"PROFILE": "study"}, "✗ PROFILE: 'study' is not one of paper, small, smoke"),
    ({"PROFILE": "../profiles/smoke"}, "✗ PROFILE: '../profiles/smoke' is not one of paper, small, smoke"),
    ({"STUDY": "nope"}, "✗ STUDY: 'nope' is not one of study, study-paper"),
    ({"SOURCE": "ferplus"}, "✗ SOURCE=ferplus needs its photographs: DATA=folder-or-zip"),
    ({"SOURCE": "2013"}, "✗ SOURCE: '2013' is not one of auto, rafdb, rafdb-folders"),
    ({"DATA": "~nobody-here/faces"}, "✗ DATA: ~nobody-here/faces: Could not determine home directory"),
    ({"DATA": "{faces}"}, "✗ DATA: Snakemake takes braces for a wildcard; rename {faces}"),
    ({"where": (*DRY, "--config", "data=2013")}, "✗ --config is not read: say PROFILE=… DATA=… to make"),
])
def test_what_make_cannot_be_told_is_one_error(copy, told, message):
    result = snakemake(copy, **told)
    assert result.returncode != 0 and message in result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) < 12


def test_notebooks_run_on_this_interpreter_whatever_jupyter_calls_python3(foreign_kernel, monkeypatch):
    "Papermill's do too: `done` has the same foreign kernel."
    monkeypatch.setenv("JUPYTER_PATH", foreign_kernel)
    cell = nbformat.v4.new_code_cell("import sys\nprint(sys.executable)")
    client = NotebookClient(nbformat.v4.new_notebook(cells=[cell]), kernel_manager_class=own_kernel())
    assert client.execute().cells[0].outputs[0].text.strip() == sys.executable


@pytest.mark.parametrize("name", ["01_datasets", "02_mcn", "03_fecn", "04_evaluation"])
def test_a_chapter_opened_alone_has_the_recipe_of_the_small_profile(name):
    profile = yaml.safe_load((ROOT / "profiles/small.yaml").read_text())
    told = {"01_datasets": "datasets", "02_mcn": "mcn", "03_fecn": "fecn"}.get(name)
    wanted = {**profile.get(told, {}), "run": "runs/small-rendered"}
    defaults = default_parameters(ROOT / f"nbs/{name}.ipynb")
    assert {name: defaults[name] for name in wanted} == wanted
    if name == "01_datasets": assert (defaults["source"], defaults["data"]) == ("rendered", SHIPPED)


@pytest.mark.parametrize("profile", ["small", "paper", "smoke"])
def test_every_profile_says_what_its_chapters_know(profile):
    given = yaml.safe_load((ROOT / f"profiles/{profile}.yaml").read_text())
    for step, name in (("datasets", "01_datasets"), ("mcn", "02_mcn"), ("fecn", "03_fecn")):
        check_parameters(ROOT / f"nbs/{name}.ipynb", given[step] | given.get("rendered", {}).get(step, {}))
    if profile == "smoke": return
    of = given["datasets"]
    assert [of[name] for name in ("mu_train", "mu_test", "mfer_train", "mfer_test")] == [500, 100, 4000, 400]


def test_a_chapter_opened_alone_makes_what_it_needs_and_no_more(tmp_path, monkeypatch):
    "The guided pair for the guided chapter, both for the evaluation."
    calls = []
    monkeypatch.setattr(runs.subprocess, "run", lambda command, **_: calls.append(command))
    told = lambda: [(Path(command[4]).stem, Path(command[5]).relative_to(tmp_path).as_posix(),
                     json.loads(command[-1]).get("guided")) for command in calls]
    data = ("01_datasets", "01_datasets.ipynb", None)
    plain = [("02_mcn", "seed3/02_mcn.ipynb", False), ("03_fecn", "seed3/03_fecn.ipynb", False)]
    guided = [("02_mcn", "seed3/02_mcn-guided.ipynb", True), ("03_fecn", "seed3/03_fecn-guided.ipynb", True)]
    for notebook, kinds, wanted in (("02_mcn", (False,), [data]), ("03_fecn", (False,), [data, plain[0]]),
                                    ("03_fecn", (True,), [data, guided[0]])):
        calls.clear()
        runs.make_before(notebook, tmp_path, 3, kinds)
        assert told() == wanted
    calls.clear()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/table1.csv").touch()
    runs.make_before("04_evaluation", tmp_path, 3, (False, True))
    assert told() == plain + guided
