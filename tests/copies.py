"Copies of the repository in which tests run its graph."
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from maskfer_nb.sources import SHIPPED

ROOT = Path(__file__).parents[1]
STUDY = dict(
    seeds=2, mcn_seeds=2,
    datasets=dict(size=48, mu_train=32, mu_test=16, mfer_train=80, mfer_test=32),
    training=dict(width=0.125, epochs=1, mcn_epochs=1, precision="auto"),
    bare=dict(source="rendered", epochs=1),
    sets={"rendered-rigid": dict(source="rendered", fit="rigid", networks="main", pretrained=True, rest=True)})


def copy_repository(folder):
    "All that the graph needs, the rendered faces as a link. Where they are not there the test is skipped."
    if not (ROOT / SHIPPED).exists(): pytest.skip(f"{SHIPPED} is not there: make faces renders it")
    no_caches = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("nbs", "maskfer_nb", "profiles"): shutil.copytree(ROOT / name, folder / name, ignore=no_caches)
    for name in ("settings.ini", "Snakefile", "study.smk"): shutil.copy(ROOT / name, folder)
    (folder / SHIPPED).parent.mkdir()
    (folder / SHIPPED).symlink_to(ROOT / SHIPPED)
    return folder


ODD = "ein ordner mit 'ü"


def link_environment(folder):
    "Give a copy the `.venv` that `make` would build there; returns its interpreter."
    if not (folder / ".venv").exists(): (folder / ".venv").symlink_to(sys.prefix)
    return folder / ".venv/bin/python"


def command(targets=(), where=("--cores", "all", "--quiet", "all"), python=sys.executable):
    "Snakemake as `make` calls it."
    return [python, "-m", "snakemake", *targets, *where, "--rerun-incomplete", "--nolock"]


def surroundings(folder, **environment):
    "The environment of a copy's graph, in which `make` has been told no more than is said here."
    told = dict.fromkeys(("SOURCE", "DATA", "SEEDS", "SHARDS", "STUDY", "FERPLUS", "FACIAL_EXPRESSIONS"), "")
    return {**os.environ, **told, "PROFILE": "smoke", "PYTHONPATH": str(folder), **environment}


def snakemake(folder, **options):
    "Run the graph; options in capitals are what `make` is told, or other environment variables, the rest `command`'s."
    environment = surroundings(folder, **{name: options.pop(name) for name in list(options) if name.isupper()})
    return subprocess.run(command(**options), cwd=folder, capture_output=True, text=True, env=environment)


def processes_in(folder, idle=False):
    """Processes at work in a folder.

    If asked for, also joblib's workers, which idle for half a minute when their work is done, and the trackers that
    wait for those."""
    found = []
    for process in psutil.process_iter():
        try:
            here = Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE
            waits = here and re.search("loky|resource_tracker", " ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
        if here and (idle or not waits): found.append(process)
    return found


def kill_after(folder, seconds=600, everything=True, when=lambda: False, targets=()):
    """Start the chain, and kill it after so many seconds or `when` it is time, with all it started or alone.

    Returns what it wrote, whether it was still at work, and if not, whether it ended well."""
    log = open(folder / "log.txt", "w+")
    environment = surroundings(folder)
    engine = subprocess.Popen(
        command(targets=targets), cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    end = time.monotonic() + seconds
    while engine.poll() is None and time.monotonic() < end and not when(): time.sleep(0.02)
    at_work = engine.poll() is None
    family = [engine, *psutil.Process(engine.pid).children(recursive=True)] if at_work else []
    for process in family if everything else family[:1]:
        try:
            process.send_signal(signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    engine.wait()
    end = time.monotonic() + 10
    while processes_in(folder) and time.monotonic() < end: time.sleep(0.1)
    assert not processes_in(folder), "somebody works on for a dead engine"
    log.seek(0)
    return log.read(), at_work, engine.returncode == 0
