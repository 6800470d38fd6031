"""The smoke chain under `kill -9`, on a full disk, in a folder that is read-only, and started twice.

Nothing is lost, torn or done twice."""
import base64
import json
import os
import random
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from copies import copy_repository, kill_after, processes_in, snakemake
from safetensors import safe_open

from maskfer_nb.files import file_hash

RUN = Path("runs/smoke-rendered")
KILLS = 20


def results(folder):
    "Hashes of what a chain is for: data, weights, answers, maps, histories, tables and figures."
    run = folder / RUN
    of_networks = [f"seed*/*/{name}" for name in ("*.safetensors", "*.parquet", "*.npz", "*.csv", "config.json")]
    kept = [path for pattern in (*of_networks, "tables/*", "figures/*") for path in run.glob(pattern)]
    return {"data": file_hash(run / "data")} | {path.relative_to(run).as_posix(): file_hash(path) for path in kept}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    "A copy in which the chain ran through, and how many seconds it took."
    folder, start = copy_repository(tmp_path_factory.mktemp("undisturbed")), time.monotonic()
    result = snakemake(folder)
    assert result.returncode == 0, result.stderr
    assert len(results(folder)) > 20 and not leftovers(folder)
    return folder, time.monotonic() - start


def leftovers(folder):
    begun = lambda name: name.startswith((".partial", ".data")) or name == "checkpoint.safetensors"
    return [path for path in (folder / RUN).rglob("*") if begun(path.name)]


STEPS = {  # provenance, written last → how the names of what a step makes begin
    "01_datasets.json": "data/", "seed0/02_mcn.json": "seed0/mcn/", "seed0/03_fecn.json": "seed0/fecn/",
    "seed0/02_mcn-guided.json": "seed0/guided_mcn/", "seed0/03_fecn-guided.json": "seed0/guided/",
    "04_evaluation.json": "report"}


EPOCHS = {"mcn": 15, "guided_mcn": 20}  # by profiles/smoke.yaml; the others have twelve


def finished(folder):
    """What is done for good: time stamps of executed steps, and of parts; and the epochs of each network.

    A step is done when Snakemake has noted it, a moment after its last file; killed in between, its notebook runs
    again, on the parts and epochs that are here."""
    marks = (folder / ".snakemake/incomplete").glob("*")
    under_way = [base64.urlsafe_b64decode(mark.name).decode() for mark in marks]
    is_done = lambda makes: not any(output.startswith(f"{RUN}/{makes}") for output in under_way)
    paths = [path for step, makes in STEPS.items() if (path := folder / RUN / step).exists() and is_done(makes)]
    parts = f"{RUN}/.data-*/[!.]*.parquet", f"{RUN}/.data-*/examined/[!.]*"
    paths += [path for pattern in parts for path in folder.glob(pattern)]
    epochs = {}
    for path in (folder / RUN).glob("seed*/*/checkpoint.safetensors"):
        with safe_open(path, "pt") as file: epochs[path.parent.name] = len(json.loads(file.metadata()["history"]))
    return {path: path.stat().st_mtime_ns for path in paths}, epochs


def epochs_taken_up(log):
    "Network → the epoch that its progress bar began with."
    bars = re.findall(r"(\w+) on cpu:[^|]*\|[^|]*\| (\d+)/(\d+)", log)
    return {name: (int(done), int(total)) for name, done, total in reversed(bars)}  # the first of each


def test_chains_killed_at_random_moments_end_with_the_same_bytes_and_do_nothing_twice(undisturbed, tmp_path):
    (reference, whole), moments, kills, chains = undisturbed, random.Random(0), 0, 0
    while kills < KILLS:
        folder, at_work, chains = copy_repository(tmp_path / str(chains)), True, chains + 1
        while at_work:
            before, epochs = finished(folder)
            seconds = moments.uniform(4, whole / 3) if kills < KILLS else 10 * whole
            log, at_work, ended_well = kill_after(folder, seconds, everything=kills % 2 == 0)
            assert at_work or ended_well, log[-3000:]
            kills += at_work
            check(folder, before, epochs, log)
        assert results(folder) == results(reference) and not leftovers(folder)
    print(f"{kills} kills, {chains} chains")
    end = time.monotonic() + 60
    while processes_in(tmp_path, idle=True) and time.monotonic() < end: time.sleep(0.5)
    assert not processes_in(tmp_path, idle=True)


def check(folder, before, epochs, log):
    "Nothing that was finished before this run was done in it."
    again = [path for path, time in before.items() if path.exists() and path.stat().st_mtime_ns != time]
    assert not again, again
    for name, (done, total) in epochs_taken_up(log).items():
        if name in epochs: assert done >= epochs[name] * total / EPOCHS.get(name, 12), (name, done, total, epochs)


def test_two_chains_at_once_in_one_folder(undisturbed, tmp_path):
    folder = copy_repository(tmp_path)
    with ThreadPoolExecutor(2) as both: results_of_both = list(both.map(snakemake, [folder, folder]))
    ended, refused = sorted(results_of_both, key=lambda result: result.returncode)
    assert (ended.returncode, refused.returncode) == (0, 1), ended.stderr + refused.stderr
    said = r"✗ runs/smoke-rendered: process \d+ on .* is at work here; wait for it, or stop it"
    assert re.search(said, refused.stderr) and "Traceback" not in refused.stderr
    assert snakemake(folder).returncode == 0
    assert results(folder) == results(undisturbed[0])


@pytest.fixture
def small_disk(tmp_path):
    "A function that mounts so many megabytes."
    if os.getuid(): pytest.skip("only root mounts a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(megabytes):
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", disk]
        if subprocess.run(command, capture_output=True).returncode: pytest.skip("no tmpfs can be mounted here")
        return disk
    yield mount
    subprocess.run(["umount", disk], capture_output=True)


def one_error(result, said):
    lines = [line for line in result.stderr.splitlines() if line.strip() and "face/s" not in line]
    assert result.returncode and said in result.stderr, result.stderr[-3000:]
    assert "Traceback" not in result.stderr and len(lines) < 12, result.stderr[-3000:]


def test_a_full_disk_is_one_error_and_more_room_lets_it_go_on(undisturbed, tmp_path, small_disk):
    folder, disk = copy_repository(tmp_path / "copy"), small_disk(2)
    (folder / RUN).parent.mkdir()
    (folder / RUN).symlink_to(disk, target_is_directory=True)
    one_error(snakemake(folder), "No space left on device")
    subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
    result = snakemake(folder)
    assert result.returncode == 0, result.stderr
    assert results(folder) == results(undisturbed[0])


@pytest.mark.parametrize("all_of_it", [False, True])
def test_a_folder_that_is_read_only_is_one_error(tmp_path, small_disk, all_of_it):
    disk = small_disk(20)
    folder = copy_repository(disk if all_of_it else tmp_path / "copy")
    if not all_of_it:
        (folder / "runs").mkdir()
        (folder / RUN).symlink_to(disk, target_is_directory=True)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    one_error(snakemake(folder, PYTHONDONTWRITEBYTECODE="1"), "Read-only file system")


def test_a_disk_that_is_full_from_the_start_is_one_error(tmp_path, small_disk):
    folder = copy_repository(small_disk(20))
    with open(folder / "filler", "wb") as file:
        try:
            while file.write(bytes(100_000)): file.flush()
        except OSError:
            pass
    one_error(snakemake(folder, PYTHONDONTWRITEBYTECODE="1"), "No space left on device")
