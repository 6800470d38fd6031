"""The graph on a real SLURM of one node: every step a job, and the same answers as without.

`make test-slow` installs what it needs."""
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from copies import ODD, STUDY, copy_repository, link_environment, snakemake

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides  # more cores and memory than this machine may have
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 Gres=gpu:2
MinJobAge=3600
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
PROGRAMS = "munged", "slurmctld", "slurmd", "sbatch"


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets: one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets: one.close()
    return ports


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    "A SLURM that listens on 127.0.0.1 alone and keeps everything in a folder of its own; the path of its slurm.conf."
    if os.getuid(): pytest.skip("a SLURM node starts as root alone")
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    remedy = "on Debian: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
    if missing: pytest.skip(f"no {', '.join(missing)}; {remedy}")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"): (folder / name).mkdir()
    (controller_port, node_port), host = free_ports(2), socket.gethostname().split(".")[0]
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(host=host, folder=folder, controller_port=controller_port, node_port=node_port))
    # two GPUs that can be asked for, and are none
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
    srun = folder / "bin/srun"  # inside a job the plugin clears SLURM_CONF, which an ordinary cluster does not need
    srun.parent.mkdir()
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    (folder / "munge.key").touch(mode=0o400)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    files = dict(socket="munge.socket", key_file="munge.key", pid_file="munged.pid", log_file="munged.log",
                 seed_file="munged.seed")
    munge = [f"--{name.replace('_', '-')}={folder / file}" for name, file in files.items()]
    commands = [["munged", "--foreground", "--force", *munge],
                ["slurmctld", "-D", "-f", configuration], ["slurmd", "-D", "-f", configuration]]
    daemons = []
    try:
        with open(folder / "daemons.log", "w") as log:
            for command in commands:
                daemons.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
                if command[0] == "munged": until(lambda: (folder / "munge.socket").exists(), "munged", folder)
        until(lambda: ask(configuration, "sinfo", "--noheader", "--format=%T") == "idle", "the node", folder)
        yield configuration
        ask(configuration, "scancel", "--user=root")  # what a failed test left behind
        until(lambda: not ask(configuration, "squeue", "--noheader"), "the end of all jobs", folder)
    finally:
        for daemon in reversed(daemons): daemon.terminate()
        for daemon in reversed(daemons): daemon.wait(30)


def until(condition, what, folder, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come in {seconds} s\n" + (folder / "daemons.log").read_text()[-3000:])
        time.sleep(0.2)


def ask(configuration, *command):
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    return subprocess.run(command, capture_output=True, text=True, env=environment).stdout.strip()


def jobs(configuration, first=1):
    """The jobs that SLURM was given from number `first` on.

    Of each its rule and wildcards as the plugin comments them, its state, and whether a GPU was asked for."""
    lines = ask(configuration, "scontrol", "--oneliner", "show", "job").splitlines()
    told = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
    recent = [job for job in told if int(job.get("JobId", 0)) >= first]
    return sorted((job["Comment"], job["JobState"], "gpu" in job.get("TresPerJob", "")) for job in recent)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    "Two copies, for here and for SLURM: short studies and chains, and the profile with the GPUs that it only suggests."
    here = copy_repository(tmp_path_factory.mktemp("here"))
    there = copy_repository(tmp_path_factory.mktemp("there") / ODD)
    for folder in (here, there):
        (folder / "profiles/study.yaml").write_text(yaml.safe_dump(STUDY))
        smoke = folder / "profiles/smoke.yaml"
        smoke.write_text(re.sub("epochs: [0-9]+", "epochs: 2", smoke.read_text()))
    profile = there / "profiles/slurm/config.yaml"
    profile.write_text(re.sub("^# (set-resources:|  [a-z_]+: {gpu)", r"\1", profile.read_text(), flags=re.M))
    return here, there


HERE = "--cores", "all", "--max-threads", "8", "--quiet", "all"
THERE = "--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2"


def on_slurm(slurm, folder, target, **told):
    python = link_environment(folder)
    environment = dict(SLURM_CONF=str(slurm), PATH=f"{slurm.parent / 'bin'}:{os.environ['PATH']}")
    return snakemake(folder, targets=[target], where=THERE, python=python, **environment, **told)


def run_both(slurm, copies, target, **told):
    """Makes `target` here, then, as `make` would be told, on SLURM; returns the jobs that SLURM had."""
    here, there = copies
    result = snakemake(here, targets=[target], where=HERE)
    assert result.returncode == 0, result.stdout + result.stderr
    first = int(ask(slurm, "sbatch", "--parsable", "--hold", "--wrap", "true")) + 1
    start = time.monotonic()
    result = on_slurm(slurm, there, target, **told)
    assert result.returncode == 0, result.stdout + result.stderr
    print(f"{target} on SLURM: {time.monotonic() - start:.0f} s")
    return jobs(slurm, first)


def same_files(copies, pattern, number):
    found, others = (sorted(path.relative_to(folder) for path in folder.glob(pattern)) for folder in copies)
    assert found == others and len(found) == number
    for path in found: assert (copies[0] / path).read_bytes() == (copies[1] / path).read_bytes(), path


def completed(**rules):
    "What `jobs` says of rules that have ended well; their values say whether they asked for a GPU."
    return sorted((f"rule_{rule}", "COMPLETED", gpu) for rule, gpu in rules.items())


def test_a_study_finds_the_same_on_slurm(slurm, copies):
    ran = run_both(slurm, copies, "study")
    assert ran == completed(
        findings=False, polarity=True, **{"study_datasets_wildcards_rendered-rigid": False},
        **{f"study_seed_wildcards_rendered-rigid_{seed}": True for seed in (0, 1)})
    rows = [pd.read_csv(folder / "results/study/runs.csv").set_index(["network", "seed"]) for folder in copies]
    here, there = (table[["accuracy", "epoch"]].sort_index() for table in rows)
    assert len(here) == 14 and here.equals(there)
    same_files(copies, "results/study/rendered-rigid/seed*/*/predictions.parquet", 14)
    assert (copies[1] / "RESULTS.md").exists()


def test_the_chain_makes_the_same_on_slurm(slurm, copies):
    ran = run_both(slurm, copies, "all", SHARDS="2")  # and its data sets in shards
    shards = "choose_0_1", "examine_0_2", "examine_1_2", "faces_0_1", "write_0_2", "write_1_2"
    assert ran == completed(datasets=False, evaluation=False, fecn_wildcards_0=True, mcn_wildcards_0=True,
                            guided_mcn_wildcards_0=True, guided_wildcards_0=True,
                            **{f"shard_wildcards_{shard}": False for shard in shards})
    provenance = [json.loads((folder / "runs/smoke-rendered/provenance.json").read_text()) for folder in copies]
    here, there = (of["seed0/02_mcn"]["inputs"]["data"] for of in provenance)
    assert here == there
    same_files(copies, "runs/smoke-rendered/seed0/*/predictions.parquet", 6)
    assert (copies[1] / "runs/smoke-rendered/report.html").stat().st_size > 0


def test_a_failing_step_names_the_log_that_tells_why(slurm, copies):
    wrong = {**STUDY, "datasets": {**STUDY["datasets"], "sizes": 48}}
    (copies[1] / "profiles/study.yaml").write_text(yaml.safe_dump(wrong))
    result = on_slurm(slurm, copies[1], "study")
    logs = re.findall(r"log: (/.+/slurm_logs/\S+\.log)", result.stderr)
    assert result.returncode == 1 and "✗ nbs/01_datasets.ipynb: no parameter 'sizes'" in Path(logs[-1]).read_text()
