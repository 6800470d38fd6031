# The chain of the paper: which notebook makes what. Run by `make reproduce`.
# A step runs again when its parameters, its inputs or the code it rests on have changed, and not otherwise.
import json
import os
import re
import sys
from pathlib import Path

from snakemake.io import get_wildcard_names

from maskfer_nb.files import check_room, code_hash, hold, state

if workflow.is_main_process:  # and not in every job that reads this file again
    try:
        check_room(".")
    except OSError as error:
        sys.exit(f"✗ {error}")

if config: sys.exit("✗ --config is not read: say PROFILE=… DATA=… to make, or set them in the environment")


def told(name, otherwise=""):
    "What `make` was told, as it was typed; `--config` would make a number of DATA=2013."
    return os.environ.get(name) or otherwise


def whole_number(name, word):
    if not re.fullmatch("[0-9]+", word): sys.exit(f"✗ {name}: {word!r} is not a whole number")
    if len(word) > 9: sys.exit(f"✗ {name}: {word} has more than nine digits")  # which Snakemake takes for a loop
    return int(word)


def one_of(name, word, known):
    if word not in known: sys.exit(f"✗ {name}: {word!r} is not one of {', '.join(known)}")
    return word


def photographs(name):
    "The folder or zip that `make` was told, with the home folder for `~`; none is an empty name."
    try:
        data = told(name) and str(Path(told(name)).expanduser())
    except RuntimeError as error:  # of a user who has no home
        sys.exit(f"✗ {name}: {told(name)}: {error}")
    if get_wildcard_names(data): sys.exit(f"✗ {name}: Snakemake takes braces for a wildcard; rename {data}")
    return data


SHIPPED = "data/rendered.zip"  # `sources.SHIPPED`, which takes a second to load


def there(data):
    "A source's folder or zip as a list, if it has one."
    if not data: return []
    remedy = f": make faces renders it, git checkout {SHIPPED} brings it back" if data == SHIPPED else ""
    if not Path(data).exists(): sys.exit(f"✗ {data} is not there{remedy}")
    return [data]


profiles = sorted(path.stem for path in Path("profiles").glob("*.yaml"))
profile = one_of("PROFILE", told("PROFILE", "small"), [name for name in profiles if not name.startswith("study")])
configfile: f"profiles/{profile}.yaml"

source, data = told("SOURCE"), photographs("DATA")
if source or data:
    from maskfer_nb.sources import LAYOUTS, detect
    try:
        source = source or detect(data)
    except ValueError as error:
        sys.exit(f"✗ {error}")
    one_of("SOURCE", source, ("auto", *LAYOUTS))
source = source or "rendered"
if source == "rendered": data = data or SHIPPED
if not data: sys.exit(f"✗ SOURCE={source} needs its photographs: DATA=folder-or-zip")
words = re.findall(r"[^\s,\[\]]+", told("SEEDS", str(config["seeds"])))
seeds = sorted({whole_number("SEEDS", word) for word in words})
if not seeds: sys.exit(f"✗ SEEDS: {told('SEEDS')!r} names no seed")
RUN = f"runs/{profile}-{source}"
SHARDS = whole_number("SHARDS", told("SHARDS", "1"))  # jobs that share out the making of data sets
if not SHARDS: sys.exit("✗ SHARDS: at least one is needed")
AFTER = {"examine": "faces", "choose": "examine", "write": "choose"}
ALL_CORES = 1024  # Snakemake gives no job more than it was told it may: --cores here, --max-threads on a cluster
TRAINING_CORES = config.get("threads", ALL_CORES)  # of one training; Snakemake tells torch by OMP_NUM_THREADS


def run_data():
    "The faces of this run, whose results do not take the place of another's."
    earlier = Path(RUN, "01_datasets.json")
    if earlier.exists() and (of := json.loads(earlier.read_text())["parameters"].get("data")) != Path(data).name:
        sys.exit(f"✗ {RUN} is the run of {of}: rename or remove that folder to run {Path(data).name}")
    return there(data)


def code(notebook):
    "Stands for the code a step rests on, by content, so that a new time stamp alone runs nothing again."
    return code_hash(f"nbs/{notebook}.ipynb")


def parameters(**own):
    "A notebook's parameters as JSON; `{seed}` is the wildcard's."
    def of(wildcards):
        seed = {"seed": int(wildcards.seed)} if "seed" in wildcards.keys() else {}
        return json.dumps({"run": RUN, **own, **seed}, sort_keys=True)
    return of


PYTHON = sys.executable
sys.executable = re.sub(r"[^\w/.-]", r"\\\g<0>", PYTHON)  # Snakemake's commands to SLURM have it without quotes
COMMAND = "LOKY_MAX_CPU_COUNT={threads} exec {PYTHON:q} -c 'from maskfer_nb.chain import main; main()'"


def step(notebook, inputs="", run="{RUN:q}"):
    "The command that runs a step's notebook on its share of the cores; its error is one line, and stops the chain."
    return f"{COMMAND} notebook --parameters {{params.notebook:q}} -- nbs/{notebook}.ipynb {{log:q}} {run} {inputs}"


locks = []  # held as long as Snakemake runs


def runs_to_hold():
    "The run folders in which jobs are about to write."
    outputs = (output for job in workflow.dag.needrun_jobs() for output in job.output)
    return sorted({"/".join(output.split("/")[:2]) for output in outputs if output.startswith("runs/")})


def announce(jobs):
    "Say how many notebooks are about to run, and how long that took where it was last measured."
    logs = [str(job.log[0]) for job in jobs if job.log]
    kind = lambda step: re.sub("seed[0-9]+", "seed", step)
    steps = [kind(log[len(RUN) + 1 : -len(".ipynb")]) for log in logs if log.startswith(f"{RUN}/")]
    if not steps: return
    said, measured = f"{RUN}: {len(steps)} notebooks to run", Path(f"figures/{source}/provenance.json")
    if profile == "small" and measured.exists():
        took = {kind(step): made["seconds"] for step, made in json.loads(measured.read_text()).items()}
        if set(steps) <= set(took):  # the run that was measured may have had other steps
            minutes = sum(took[step] for step in steps) / 60
            said += f", one after the other {minutes:.0f} minutes where they were last measured"
    print(said, flush=True)


onstart:
    announce(workflow.dag.needrun_jobs())
    try:
        locks.extend(hold(run) for run in runs_to_hold())
    except (RuntimeError, OSError) as error:
        sys.exit(f"✗ {error}")


rule all:  # every step's outputs: what one that was interrupted has lost is missed, though an older report is there
    input: lambda wildcards: [*rules.evaluation.input, *rules.evaluation.output]
    localrule: True
    params: made=f"Tables: {RUN}/tables  Figures: {RUN}/figures  Report: {RUN}/report.html  Executed notebooks: {RUN}"
    shell: "echo {params.made:q}"


def shards(step):
    "The marks that one step of sharing out data-set creation is done."
    of = SHARDS if step in ("examine", "write") else 1
    return [f"{RUN}/shards/{step}-{number}-of-{of}" for number in range(of)]


rule shard:  # 01_datasets goes on from what these have put in its work folder, and does without them
    input: lambda wildcards: shards(AFTER[wildcards.step]) if wildcards.step in AFTER else run_data()
    output: touch(f"{RUN}/shards/{{step}}-{{number}}-of-{{of}}")
    threads: ALL_CORES
    params:
        notebook=parameters(source=source, data=data, **config["datasets"]),
        code=code("01_datasets"),
        data=lambda wildcards: state(data),
    shell:
        COMMAND + " shard {wildcards.step} {wildcards.number} {wildcards.of} {RUN:q} --parameters {params.notebook:q}"


rule datasets:
    input: lambda wildcards: run_data(), shards("write") if SHARDS > 1 else []
    output: f"{RUN}/data/table1.csv", f"{RUN}/data/rejects.csv", f"{RUN}/figures/figure5.png"
    log: f"{RUN}/01_datasets.ipynb"
    threads: ALL_CORES
    params:
        notebook=parameters(source=source, data=data, **config["datasets"]),
        code=code("01_datasets"),
        data=lambda wildcards: state(data),
    shell: step("01_datasets", "{input:q}")


def left_by(network, *names):
    "What a network leaves for the steps after it: these files, and what every network does."
    return [f"{RUN}/seed{{seed}}/{network}/{name}" for name in (*names, "history.csv", "predictions.parquet")]


rule mcn:
    input: rules.datasets.output[0]
    output: left_by("mcn", "model.safetensors", "attention.npz")
    log: f"{RUN}/seed{{seed}}/02_mcn.ipynb"
    threads: TRAINING_CORES
    priority: 2  # the longest steps wait for it
    params:
        notebook=parameters(**config["mcn"]),
        code=code("02_mcn"),
    shell: step("02_mcn", "{RUN:q}/data")


use rule mcn as guided_mcn with:
    output: left_by("guided_mcn", "model.safetensors", "attention.npz")
    log: f"{RUN}/seed{{seed}}/02_mcn-guided.ipynb"
    priority: 0
    params:
        notebook=parameters(guided=True, **config["mcn"]),
        code=code("02_mcn"),


rule fecn:
    input: rules.datasets.output[0], rules.mcn.output[0]
    output: left_by("vgg11", "gradcam.npz"), left_by("abn", "attention.npz"), left_by("fecn", "gradcam.npz")
    log: f"{RUN}/seed{{seed}}/03_fecn.ipynb"
    threads: TRAINING_CORES
    priority: 1  # three networks, the longest steps: started late, they would leave a core idle at the end
    params:
        notebook=parameters(**config["fecn"]),
        code=code("03_fecn"),
    shell: step("03_fecn", "{RUN:q}/data {input[1]:q}")


use rule fecn as guided with:
    input: rules.datasets.output[0], rules.guided_mcn.output[0]
    output: left_by("guided")
    log: f"{RUN}/seed{{seed}}/03_fecn-guided.ipynb"
    priority: 0
    params:
        notebook=parameters(guided=True, **config["fecn"]),
        code=code("03_fecn"),


rule evaluation:
    input:
        rules.datasets.output,
        [expand(made.output, seed=seeds) for made in (rules.mcn, rules.guided_mcn, rules.fecn, rules.guided)],
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
