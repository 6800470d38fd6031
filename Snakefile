# The chain of the paper: which notebook makes what. Run by `make reproduce`.
# A step runs again when its parameters, its inputs or the code it rests on have changed, and not otherwise.
import json
import re
import sys

from maskfer_nb.files import check_room, code_hash, hold

if workflow.is_main_process:  # and not in every job that reads this file again
    try:
        check_room(".")
    except OSError as error:
        sys.exit(f"✗ {error}")

profile = config.setdefault("profile", "small")
configfile: f"profiles/{profile}.yaml"

source, data = config.get("source", ""), config.get("data", "")
if data and not source:
    from maskfer_nb.sources import detect
    try:
        source = detect(data)
    except ValueError as error:
        sys.exit(f"✗ {error}")
source = source or "rendered"
for rule_name, changes in config.get(source, {}).items():  # what a profile has otherwise for this source
    config[rule_name].update(changes)
seeds = [int(seed) for seed in re.findall(r"\d+", str(config["seeds"]))]
RUN = f"runs/{profile}-{source}"
SHARDS = int(config.get("shards", 1))  # jobs that share out the making of data sets
AFTER = {"examine": "faces", "choose": "examine", "write": "choose"}
ALL_CORES = 1024  # Snakemake gives no job more than it was told it may: --cores here, --max-threads on a cluster


def code(notebook):
    "Stands for the code a step rests on, by content, so that a new time stamp alone runs nothing again."
    return code_hash(f"nbs/{notebook}.ipynb")


def parameters(**own):
    "A notebook's parameters as JSON; `{seed}` is the wildcard's."
    def of(wildcards):
        seed = {"seed": int(wildcards.seed)} if "seed" in wildcards.keys() else {}
        return json.dumps({"run": RUN, **own, **seed}, sort_keys=True)
    return of


COMMAND = f"LOKY_MAX_CPU_COUNT={{threads}} exec {sys.executable} -c 'from maskfer_nb.chain import main; main()'"


def step(notebook, inputs="", run=RUN):
    "The command that runs a step's notebook on its share of the cores; its error is one line, and stops the chain."
    return f"{COMMAND} notebook nbs/{notebook}.ipynb {{log}} {run} --parameters {{params.notebook:q}} --inputs {inputs}"


locks = []  # held as long as Snakemake runs


def runs_to_hold():
    "The run folders in which jobs are about to write."
    outputs = (output for job in workflow.dag.needrun_jobs() for output in job.output)
    return sorted({"/".join(output.split("/")[:2]) for output in outputs if output.startswith("runs/")})


onstart:
    try:
        locks.extend(hold(run) for run in runs_to_hold())
    except (RuntimeError, OSError) as error:
        sys.exit(f"✗ {error}")


rule all:  # every step's outputs: what one that was interrupted has lost is missed, though an older report is there
    input: lambda wildcards: [*rules.evaluation.input, *rules.evaluation.output]
    localrule: True
    shell: f"echo 'Tables: {RUN}/tables  Figures: {RUN}/figures  Report: {RUN}/report.html  Executed notebooks: {RUN}'"


def shards(step):
    "The marks that one step of sharing out data-set creation is done."
    of = SHARDS if step in ("examine", "write") else 1
    return [f"{RUN}/shards/{step}-{number}-of-{of}" for number in range(of)]


rule shard:  # 01_datasets goes on from what these have put in its work folder, and does without them
    input: lambda wildcards: shards(AFTER[wildcards.step]) if wildcards.step in AFTER else [data] if data else []
    output: touch(f"{RUN}/shards/{{step}}-{{number}}-of-{{of}}")
    threads: ALL_CORES
    params:
        notebook=parameters(source=source, data=data, **config["datasets"]),
        code=code("01_datasets"),
    shell:
        COMMAND + f" shard {{wildcards.step}} {{wildcards.number}} {{wildcards.of}} {RUN}"
        " --parameters {params.notebook:q}"


rule datasets:
    input: [data] if data else [], shards("write") if SHARDS > 1 else []
    output: f"{RUN}/data/table1.csv", f"{RUN}/data/rejects.csv", f"{RUN}/figures/figure5.png"
    log: f"{RUN}/01_datasets.ipynb"
    threads: ALL_CORES
    params:
        notebook=parameters(source=source, data=data, **config["datasets"]),
        code=code("01_datasets"),
    shell: step("01_datasets", "{input:q}")


rule mcn:
    input: rules.datasets.output[0]
    output: [f"{RUN}/seed{{seed}}/mcn/{name}" for name in ("model.safetensors", "predictions.parquet", "attention.npz")]
    log: f"{RUN}/seed{{seed}}/02_mcn.ipynb"
    threads: ALL_CORES
    params:
        notebook=parameters(**config["mcn"]),
        code=code("02_mcn"),
    shell: step("02_mcn", f"{RUN}/data")


rule fecn:
    input: rules.datasets.output[0], rules.mcn.output[0]
    output: expand(f"{RUN}/seed{{{{seed}}}}/{{network}}/predictions.parquet", network=["vgg11", "abn", "fecn"])
    log: f"{RUN}/seed{{seed}}/03_fecn.ipynb"
    threads: ALL_CORES
    params:
        notebook=parameters(**config["fecn"]),
        code=code("03_fecn"),
    shell: step("03_fecn", f"{RUN}/data {{input[1]:q}}")


rule evaluation:
    input:
        rules.datasets.output,
        expand(rules.mcn.output, seed=seeds),
        expand(rules.fecn.output, seed=seeds),
    output:
        f"{RUN}/report.html",
        expand(f"{RUN}/tables/table{{n}}.csv", n=[1, 2, 3]),
        expand(f"{RUN}/figures/figure{{n}}.png", n=[6, 7]),
    log: f"{RUN}/04_evaluation.ipynb"
    params:
        notebook=parameters(only_seeds=seeds),
        code=code("04_evaluation"),
    shell: step("04_evaluation", "{input:q}")


include: "study.smk"
