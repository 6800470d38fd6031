"Copies of the repository in which tests run its graph."
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STUDY = dict(seeds=2, mcn_seeds=2, datasets=dict(size=48, mu_train=32, mu_test=16, mfer_train=80, mfer_test=32, n_rendered=320),
             training=dict(width=0.125, epochs=1, mcn_epochs=1, precision="32-true"), sets={"rendered-rigid": dict(source="rendered", fit="rigid", networks="main")})


def copy_repository(folder):
    for name in ("nbs", "maskfer_nb", "profiles"): shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("settings.ini", "Snakefile", "study.smk"): shutil.copy(ROOT / name, folder)
    return folder


def command(*config, targets=(), where=("--cores", "all", "--quiet", "all")):
    "Snakemake as `make` calls it."
    return [sys.executable, "-m", "snakemake", *targets, *where, "--rerun-incomplete", "--nolock", "--config", "profile=smoke", *config]


def surroundings(folder, **environment):
    return {**os.environ, "PYTHONPATH": str(folder), **environment}


def snakemake(folder, *config, **options):
    environment = {name: options.pop(name) for name in list(options) if name.isupper()}
    return subprocess.run(command(*config, **options), cwd=folder, capture_output=True, text=True, env=surroundings(folder, **environment))
