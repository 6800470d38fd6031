# The study of the paper's claims: `make study`. Which sets, networks and seeds is in profiles/study.yaml, or in another
# study's profile; two jobs of one thread each are faster than one of two.
import yaml

STUDY = one_of("STUDY", told("STUDY", "study"), [name for name in profiles if name.startswith("study")])
with open(f"profiles/{STUDY}.yaml") as file: study = yaml.safe_load(file)
SET, HERE, FOUND = f"runs/{STUDY}/{{set}}", "runs/{STUDY:q}/{wildcards.set:q}", f"results/{STUDY}"
FIRST = f"runs/{STUDY}/{next(iter(study['sets']))}"
REPORT = "RESULTS.md" if STUDY == "study" else f"{FOUND}/RESULTS.md"


def study_parameters(**own):
    "A notebook's parameters as JSON: `own`'s values, called with the wildcards where they are functions."
    def of(wildcards):
        values = {name: value(wildcards) if callable(value) else value for name, value in own.items()}
        return json.dumps({"run": SET.format(set=wildcards.set), **values}, sort_keys=True)
    return of


def of_set(name, otherwise=None):
    "What the study's profile says of a set."
    return lambda wildcards: study["sets"][wildcards.set].get(name, otherwise)


def data_of_set(wildcards):
    return study_data(of_set("source")(wildcards))


def study_data(source):
    "The faces of a source: photographs by FERPLUS=… FACIAL_EXPRESSIONS=…, or the rendered ones."
    data = SHIPPED if source == "rendered" else photographs(source.upper())
    if not data: sys.exit(f"✗ the study needs {source}: make study {source.upper()}=folder-or-zip")
    return there(data)


def study_networks(wildcards):
    return study["sets"][wildcards.set]["networks"] if int(wildcards.seed) < study["seeds"] else "mcn"


rule study:
    input: REPORT
    localrule: True


rule study_datasets:
    input: data_of_set
    output: f"{SET}/data/table1.csv"
    log: f"{SET}/01_datasets.ipynb"
    threads: ALL_CORES
    priority: 2  # all of them first, so that trainings have company
    params:
        notebook=study_parameters(source=of_set("source"), fit=of_set("fit"), rest=of_set("rest", False),
                                  data=lambda wildcards: data_of_set(wildcards)[0], **study["datasets"]),
        code=code("01_datasets"),
        data=lambda wildcards: state(data_of_set(wildcards)[0]),
    shell: step("01_datasets", "{input:q}", HERE)


def bare(seed):
    "What 30a_pretraining leaves of a seed."
    return f"runs/{STUDY}/seed{seed}/bare"


rule pretraining:
    input: lambda wildcards: study_data(study["bare"]["source"])
    output: [f"{bare(seed)}/answers.parquet" for seed in range(study["seeds"])]
    log: f"runs/{STUDY}/30a_pretraining.ipynb"
    threads: ALL_CORES  # one job for all seeds, which the others wait for
    priority: 1
    params:
        notebook=lambda wildcards: json.dumps(dict(
            run=f"runs/{STUDY}", results=FOUND, data=study_data(study["bare"]["source"])[0], seeds=study["seeds"],
            size=study["datasets"]["size"], width=study["training"]["width"],
            precision=study["training"]["precision"], **study["bare"]), sort_keys=True),
        code=code("30a_pretraining"),
        data=lambda wildcards: state(study_data(study["bare"]["source"])[0]),
    shell: step("30a_pretraining", "{input:q}", f"runs/{STUDY}")


LAST = {"all": "taught", "main": "shared"}  # of each list in `study.NETWORKS`: with it a seed has finished


def knows_bare(wildcards):
    "The folder of the VGG11 that a set's networks start from or are taught by, if they do."
    networks = study_networks(wildcards)
    needed = networks == "all" or networks == "main" and of_set("pretrained")(wildcards)
    return bare(wildcards.seed) if needed else ""


def bare_answers(wildcards):
    "What that VGG11 leaves, where a network still waits for it, or it is there."
    if not knows_bare(wildcards): return []
    answers = knows_bare(wildcards) + "/answers.parquet"
    rows = Path(FOUND, wildcards.set, f"seed{wildcards.seed}/runs.csv")
    last = LAST[study_networks(wildcards)] + ","
    finished = rows.exists() and any(row.startswith(last) for row in rows.read_text().splitlines())
    return [] if finished and not Path(answers).exists() else answers


def start(wildcards):
    "What the VGG11 has learnt that a set's networks start from, if they do."
    if not of_set("pretrained")(wildcards): return ""
    return "bare faces of {source}, epochs: {epochs}".format(**study["bare"])


rule study_seed:
    input:
        rules.study_datasets.output,
        bare_answers,
    # its provenance, written last; what it puts in results/ grows row by row and outlives an interruption
    output: f"{SET}/seed{{seed}}/30_study.json"
    log: f"{SET}/seed{{seed}}/30_study.ipynb"
    params:
        notebook=study_parameters(results=lambda wildcards: f"{FOUND}/{wildcards.set}", networks=study_networks,
                                  bare=knows_bare, pretrained=start, seed=lambda wildcards: int(wildcards.seed),
                                  **study["training"]),
        code=code("30_study"),
    shell: step("30_study", HERE + "/data", HERE)


rule polarity:
    input: f"{FIRST}/data/table1.csv"
    output: f"{FIRST}/31_polarity.json"
    log: f"{FIRST}/31_polarity.ipynb"
    params:
        notebook=json.dumps({"run": FIRST, "results": FOUND, "epochs": study["training"]["mcn_epochs"],
                             **{name: study["training"][name] for name in ("width", "precision")}}, sort_keys=True),
        code=code("31_polarity"),
    shell: step("31_polarity", "{FIRST:q}/data", "{FIRST:q}")


def trainings():
    "Every set's seeds; MCN alone has more of them, on the first set."
    for number, name in enumerate(study["sets"]):
        seeds_of_set = study["seeds"] if number else study["mcn_seeds"]
        yield from (f"runs/{STUDY}/{name}/seed{seed}/30_study.json" for seed in range(seeds_of_set))


rule findings:
    input: rules.polarity.output, list(trainings())
    output: REPORT
    log: f"runs/{STUDY}/32_findings.ipynb"
    params: notebook=json.dumps({"results": FOUND, "report": REPORT}), code=code("32_findings"),
    shell: step("32_findings", "{FOUND:q}", "runs/{STUDY:q}")
