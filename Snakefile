# The chain of the paper: which notebook makes what. Run by `make reproduce`.
# A step runs again when its parameters, its inputs or the code it rests on have changed, and not otherwise.
import re
import sys

from maskfer_nb import chain

profile = config.setdefault("profile", "small")
configfile: f"profiles/{profile}.yaml"

source, data = config.get("source", ""), config.get("data", "")
if data and not source:
    from maskfer_nb.sources import detect
    try: source = detect(data)
    except ValueError as error: sys.exit(f"✗ {error}")
seeds = [int(seed) for seed in re.findall(r"\d+", str(config["seeds"]))]
run = f"runs/{profile}-{source}"


def code(notebook, *modules):
    "Stands for the code a step rests on: its notebook's cells and the exported modules, by content, so that a new time stamp alone runs nothing again."
    return [chain.code_hash(f"nbs/{notebook}.ipynb"), *(chain.file_hash(f"maskfer_nb/{module}.py") for module in modules)]


rule all:
    input: f"{run}/report.html"


def step(notebook, log, params, inputs=()):
    "Run a step's notebook with its parameters; an error is one line, and stops the chain."
    try: chain.execute(f"nbs/{notebook}.ipynb", log, run, {"run": run, **params}, inputs)
    except (ValueError, RuntimeError) as error: sys.exit(f"✗ {error}")


rule datasets:
    input: [data] if data else []
    output: f"{run}/data/table1.csv", f"{run}/data/rejects.csv", f"{run}/figures/figure5.png"
    log: f"{run}/04_datasets.ipynb"
    threads: workflow.cores
    params:
        notebook=dict(source=source, data=data, **config["datasets"]),
        code=code("04_datasets", "faces", "sources", "landmarks", "masks"),
    run: step("04_datasets", log[0], params.notebook, input)


rule mcn:
    input: rules.datasets.output[0]
    output: f"{run}/seed{{seed}}/mcn/model.safetensors", f"{run}/seed{{seed}}/mcn/predictions.parquet", f"{run}/seed{{seed}}/mcn/attention.npz"
    log: f"{run}/seed{{seed}}/07_mcn.ipynb"
    threads: workflow.cores
    params:
        notebook=config["mcn"],
        code=code("07_mcn", "networks", "training"),
    run: step("07_mcn", log[0], dict(seed=int(wildcards.seed), **params.notebook), [f"{run}/data"])


rule fecn:
    input: rules.datasets.output[0], rules.mcn.output[0]
    output: expand(f"{run}/seed{{{{seed}}}}/{{network}}/predictions.parquet", network=["vgg11", "abn", "fecn"])
    log: f"{run}/seed{{seed}}/08_fecn.ipynb"
    threads: workflow.cores
    params:
        notebook=config["fecn"],
        code=code("08_fecn", "networks", "training", "mcn"),
    run: step("08_fecn", log[0], dict(seed=int(wildcards.seed), **params.notebook), [f"{run}/data", input[1]])


rule evaluation:
    input:
        rules.datasets.output,
        expand(rules.mcn.output, seed=seeds),
        expand(rules.fecn.output, seed=seeds),
    output: f"{run}/report.html", expand(f"{run}/tables/table{{n}}.csv", n=[1, 2, 3]), expand(f"{run}/figures/figure{{n}}.png", n=[6, 7])
    log: f"{run}/10_evaluation.ipynb"
    params:
        notebook=dict(seeds=seeds),
        code=code("10_evaluation"),
    run: step("10_evaluation", log[0], params.notebook, input)


onsuccess:
    print(f"Tables: {run}/tables   Figures: {run}/figures   Report: {run}/report.html   Executed notebooks: {run}")
