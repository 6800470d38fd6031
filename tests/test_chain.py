"The smoke chain by papermill and Snakemake, in a copy of the repository: what it makes, what it repeats, and how it fails."
import json
import re
import shutil
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from copies import ROOT, STUDY, copy_repository, kill_after, snakemake

from maskfer_nb.files import hold

RUN = Path("runs/smoke-rendered")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("copy"))


def change_profile(folder, stage, **changes):
    path = folder / "profiles/smoke.yaml"
    profile = yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
    profile[stage].update(changes)
    path.write_text(yaml.safe_dump(profile))


def executed(folder):
    "When each notebook of the run was executed."
    return {path.relative_to(folder / RUN).with_suffix("").as_posix(): path.stat().st_mtime_ns for path in (folder / RUN).rglob("[01]*.ipynb")}


@pytest.fixture(scope="module")
def smoke(copy):
    start = time.monotonic()
    result = snakemake(copy)
    assert result.returncode == 0, result.stdout + result.stderr
    print(f"smoke chain: {time.monotonic() - start:.0f} s")
    return copy, result


def test_it_makes_every_table_and_figure(smoke):
    folder, result = smoke
    run = folder / RUN
    for name in ["report.html", "provenance.json", "data/rejects.csv", *(f"tables/table{n}.csv" for n in (1, 2, 3)), *(f"figures/figure{n}.png" for n in (5, 6, 7))]:
        assert (run / name).stat().st_size > 0, name
    assert "report.html" in result.stdout and re.search("✓ .*03_fecn: [0-9]+ s", result.stderr)
    predictions = pd.read_parquet(run / "seed0/fecn/predictions.parquet")
    assert len(predictions) == 64 and np.allclose(predictions.filter(regex="^p_").sum(axis=1), 1, atol=1e-4)
    maps = np.load(run / "seed0/mcn/attention.npz")
    assert maps["attention"].shape == (128, 6, 6) and 0 <= maps["attention"].min() <= maps["attention"].max() <= 1
    assert not list(run.rglob("*.pkl")) and not list(run.rglob("*.pt*")) and not list(run.rglob("*partial*"))


def test_provenance_says_what_was_done(smoke):
    stages = json.loads((smoke[0] / RUN / "provenance.json").read_text())
    assert list(stages) == ["01_datasets", "seed0/02_mcn", "seed0/03_fecn", "04_evaluation"]
    for stage in stages.values():
        assert {"commit", "parameters", "packages", "device", "seconds", "inputs"} <= set(stage)
    assert stages["seed0/02_mcn"]["parameters"]["epochs"] == 15 and "data" in stages["seed0/02_mcn"]["inputs"]


def test_a_second_run_does_nothing(smoke):
    folder, before = smoke[0], executed(smoke[0])
    assert snakemake(folder).returncode == 0
    assert executed(folder) == before


def test_a_changed_parameter_repeats_what_depends_on_it_and_no_more(smoke):
    folder, before = smoke[0], executed(smoke[0])
    change_profile(folder, "fecn", epochs=1)
    result = snakemake(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    after = executed(folder)
    assert {name for name in after if after[name] != before[name]} == {"seed0/03_fecn", "04_evaluation"}
    assert len(pd.read_csv(folder / RUN / "seed0/fecn/history.csv")) == 1


def test_a_chain_that_was_killed_goes_on_and_predicts_the_same(smoke):
    folder = smoke[0]
    results = lambda: [(folder / RUN / f"seed0/mcn/{name}").read_bytes() for name in ("model.safetensors", "predictions.parquet", "attention.npz")]
    data = lambda: json.loads((folder / RUN / "seed0/02_mcn.json").read_text())["inputs"]["data"]
    first = data(), results()
    shutil.rmtree(folder / RUN / "data")
    shutil.rmtree(folder / RUN / "seed0/mcn")
    targets = [f"{RUN}/seed0/mcn/model.safetensors"]
    _, at_work, _ = kill_after(folder, when=(folder / RUN / "seed0/mcn/checkpoint.safetensors").exists, targets=targets)
    assert at_work and not (folder / RUN / "seed0/mcn/predictions.parquet").exists()
    made = (folder / RUN / "01_datasets.json").stat().st_mtime_ns
    assert snakemake(folder, targets=targets).returncode == 0
    assert (data(), results()) == first and (folder / RUN / "01_datasets.json").stat().st_mtime_ns == made


def test_a_second_engine_is_told_to_wait(smoke):
    folder = smoke[0]
    with hold(folder / RUN): result = snakemake(folder, targets=["--forcerun", "evaluation"])
    assert result.returncode and re.search(rf"✗ {RUN}: process \d+ on .* is at work here; wait for it, or stop it", result.stderr) and "Traceback" not in result.stderr


@pytest.mark.parametrize("changes, message", [
    ({"epoch": 3}, "02_mcn.ipynb: no parameter 'epoch'; it has run, seed, width"),
    ({"epochs": "many"}, "02_mcn.ipynb: 'epochs' must be int, not 'many'"),
])
def test_a_wrong_parameter_is_an_error_that_names_it(smoke, changes, message):
    change_profile(smoke[0], "mcn", **changes)
    result = snakemake(smoke[0])
    assert result.returncode != 0 and message in result.stderr


def test_a_failing_cell_stops_the_chain_with_its_error_and_keeps_the_notebook(smoke):
    folder = smoke[0]
    change_profile(folder, "mcn", combine="sum")
    result = snakemake(folder)
    assert result.returncode != 0 and "02_mcn.ipynb, cell" in result.stderr and "KeyError: 'sum'" in result.stderr
    kept = nbformat.read(folder / RUN / "seed0/02_mcn.ipynb", 4)
    assert any(output.output_type == "error" and output.ename == "KeyError" for cell in kept.cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("make_data, message", [
    (lambda path: None, "no such folder or zip"),
    (lambda path: path.mkdir(), "empty"),
    (lambda path: [(path / name).mkdir(parents=True) for name in ("cats", "dogs")], "RAF-DB is requested"),
])
def test_wrong_data_is_one_error(copy, tmp_path, make_data, message):
    make_data(tmp_path / "faces")
    result = snakemake(copy, f"data={tmp_path / 'faces'}")
    assert result.returncode != 0 and message in result.stderr.lower() or message in result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) < 12


def test_a_study_fills_its_table_and_repeats_only_what_is_missing(smoke):
    folder = smoke[0]
    (folder / "profiles/study.yaml").write_text(yaml.safe_dump(STUDY))
    (folder / "profiles/smoke.yaml").write_text((ROOT / "profiles/smoke.yaml").read_text())
    result = snakemake(folder, targets=["study"])
    assert result.returncode == 0, result.stdout + result.stderr
    found = folder / "results/study"
    rows = pd.read_csv(found / "runs.csv")
    assert rows.groupby("network").seed.nunique().to_dict() == dict.fromkeys(["mcn", "guided_mcn", "vgg11", "abn", "fecn", "guided", "guided_residual"], 2)
    assert rows.accuracy.between(0, 1).all() and rows[rows.network == "mcn"].masked_eyes.between(0, 1).all()
    text = (folder / "RESULTS.md").read_text()
    assert "## rendered-rigid" in text and "nan" not in text and (folder / "figures/study/figure7.png").stat().st_size > 0

    first, path = found / "rendered-rigid/seed1", found / "rendered-rigid/seed1/runs.csv"
    before, times = pd.read_csv(path), {name: (first / name / "predictions.parquet").stat().st_mtime_ns for name in ("vgg11", "fecn")}
    answers = (first / "fecn/predictions.parquet").read_bytes()
    pd.read_csv(path).query("network != 'fecn'").to_csv(path, index=False)
    result = snakemake(folder, targets=["study", "--forcerun", "study_seed"])
    assert result.returncode == 0, result.stdout + result.stderr
    told = lambda rows: rows.set_index("network")[["accuracy", "epoch"]].sort_index()
    assert told(pd.read_csv(path)).equals(told(before))
    assert (first / "vgg11/predictions.parquet").stat().st_mtime_ns == times["vgg11"] and (first / "fecn/predictions.parquet").stat().st_mtime_ns > times["fecn"]
    assert (first / "fecn/predictions.parquet").read_bytes() == answers


def test_a_cluster_would_get_every_step_as_a_job(copy):
    "`make test-slow` runs it on a real SLURM."
    result = snakemake(copy, "shards=2", where=("--workflow-profile", "profiles/slurm", "--dry-run"))
    assert result.returncode == 0, result.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.M))
    assert {name: jobs.get(name) for name in ("shard", "datasets", "mcn", "fecn", "evaluation")} == dict(shard="6", datasets="1", mcn="1", fecn="1", evaluation="1"), result.stdout


def test_a_study_without_its_photographs_says_how_to_name_them(copy):
    (copy / "profiles/study.yaml").write_text((ROOT / "profiles/study.yaml").read_text())
    result = snakemake(copy, targets=["study"])
    assert result.returncode != 0 and "make study FERPLUS=folder-or-zip" in result.stderr
