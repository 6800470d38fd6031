# make reproduce     the whole chain, on rendered faces or on DATA=folder-or-zip: PROFILE=smoke|small|paper SOURCE=…
#                    SEEDS="0 1 2"; SHARDS=n makes the data sets in n jobs: docs/scaling.md
# make faces         data/rendered.zip, the rendered faces that come with the repository, again; goes on where it stopped
# make test          what CI runs: ruff, every chapter again, the tests
# make study         every network, control and seed: RESULTS.md of FERPLUS=folder-or-zip FACIAL_EXPRESSIONS=…; goes on
#                    where it stopped. With a GPU STUDY=study-paper: the paper's size, in results/study-paper/.
#                    Both on a cluster: CLUSTER=slurm, by profiles/slurm/config.yaml
# make test-browser  JupyterLab and its notebooks in headless Chromium
#                    (Debian: apt-get install chromium chromium-driver)
# make test-slow     SLURM of one node, twenty kills, full disks, torchrun, a thousand mutated pictures, an audit of the
#                    locked versions; forty minutes on two idle cores, more than an hour on busy ones; as root on Debian
#                    it installs SLURM
# make docs          every chapter and the library as pages, in build/docs/
# make readme        README.md, docs/scaling.md and docs/replication.md from their notebooks
# make store         a chapter's outputs as they are now, in it: CHAPTER=21_sources
# make lab           JupyterLab on the notebooks
# make figures       a small run's figures, tables and predictions to figures/ and results/: of rendered faces, or of
#                    yours with SOURCE=… DATA=…
# make lock          requirements.lock from settings.ini
PYTHON ?= python3
PROFILE ?= small
SOURCE ?=
DATA ?=
SEEDS ?=
SHARDS ?=
STUDY ?= study
FERPLUS ?=
FACIAL_EXPRESSIONS ?=
CLUSTER ?=
CHAPTER ?=
README ?= README.md
SCALING ?= docs/scaling.md
REPLICATION ?= docs/replication.md
BIN ?= .venv/bin
# What was said reaches the shell, Snakemake and the notebooks by the environment, as it was typed, so that no name of a
# folder can be taken for something else. `-m`, because the first line of a script cannot name every interpreter.
SAID = PYTHON PROFILE SOURCE DATA SEEDS SHARDS STUDY FERPLUS FACIAL_EXPRESSIONS CLUSTER README SCALING REPLICATION BIN
$(foreach name,$(SAID),$(eval override export $(name) := $$(value $(name))))
RUN = "$$BIN"/python -m
# Caches go to a home folder that can be written, if there is one.
HOMELESS = test -w "$$HOME" || export XDG_CACHE_HOME="$$PWD/.snakemake/cache"
# Snakemake's own lock is a file that a crash leaves behind; the Snakefile has one that ends with the process.
SNAKEMAKE = $(HOMELESS); $(RUN) snakemake $(if $(CLUSTER),--workflow-profile profiles/"$$CLUSTER",--cores all --quiet all) \
	--rerun-incomplete --nolock
TO_MARKDOWN = $(RUN) nbconvert --log-level=ERROR --no-input --to markdown --stdout
OLD_PYTHON = sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …"
SLURM = slurmctld slurmd slurm-client munge

.PHONY: reproduce study faces test test-browser test-slow store lab figures docs readme lock
.DEFAULT_GOAL := reproduce

.venv/installed: requirements.lock setup.py settings.ini
	"$$PYTHON" -c 'import sys; sys.exit($(OLD_PYTHON))'
	test -x "$$BIN"/uv || { "$$PYTHON" -m venv .venv && $(RUN) pip install --quiet uv; }
	$(RUN) uv pip sync --quiet --compile-bytecode --python "$$BIN"/python requirements.lock
	$(RUN) uv pip install --quiet --python "$$BIN"/python --no-deps --editable .
	touch $@

reproduce: .venv/installed
	$(SNAKEMAKE)

study: .venv/installed
	$(SNAKEMAKE) study

faces: .venv/installed
	"$$BIN"/python -c 'from maskfer_nb import face_set, sources; face_set.make("runs/faces", sources.SHIPPED)'

# files in the order of their names: by the number of their tests the longest would come last, each on one core
test: .venv/installed
	$(RUN) ruff check
	$(RUN) pytest tests -rs --numprocesses 2 --dist loadfile --no-loadscope-reorder \
		--ignore tests/browser --ignore tests/slow

test-browser: .venv/installed
	$(RUN) pytest tests/browser

test-slow: .venv/installed
	command -v slurmctld >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || \
		{ apt-get update && apt-get install -y --no-install-recommends $(SLURM); }
	$(RUN) pytest -rs tests/slow tests/test_fuzz.py --hypothesis-profile=long

store: .venv/installed
	"$$BIN"/python tests/chapters.py $(CHAPTER)

lab: .venv/installed
	$(RUN) jupyterlab --notebook-dir . nbs/index.ipynb

# A reference run's figures and tables to figures/, its predictions to results/. Of photographs only what shows no face.
NAME = $(or $(SOURCE),rendered)
REFERENCE = runs/small-$(NAME)
shown = $(if $(filter rendered,$(NAME)),faces figure5 figure6) figure6_mean figure7

figures:
	$(MAKE) reproduce PROFILE=small
	mkdir -p figures/$(NAME) results/$(NAME)
	cp $(shown:%=$(REFERENCE)/figures/%.png) $(REFERENCE)/tables/*.csv $(REFERENCE)/provenance.json figures/$(NAME)/
	cd $(REFERENCE) && cp --parents seed*/*/predictions.parquet seed*/*/history.csv ../../results/$(NAME)/

docs: .venv/installed
	$(RUN) sphinx --quiet --fail-on-warning --keep-going --jobs auto -c docs . build/docs

readme:
	$(TO_MARKDOWN) nbs/index.ipynb | sed 's#(\.\./#(#g' | cat -s > "$$README"
	$(TO_MARKDOWN) nbs/95_scaling.ipynb | cat -s > "$$SCALING"
	$(TO_MARKDOWN) nbs/35_replication.ipynb | cat -s > "$$REPLICATION"

lock:
	$(RUN) uv pip compile --quiet --universal --python-version 3.11 --extra dev setup.py -o requirements.lock
