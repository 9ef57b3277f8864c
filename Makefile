# GNU make. `make` alone prints the targets.
PY := .venv/bin/python
RECIPE ?= tiny
MODELS ?= 1 2 3 4
MINUTES ?= 8
RUNS := runs/$(RECIPE)
DATA := data/hands19_synthetic
DIST ?= dist
# Notebook 04 and the browser take longest, so they start first.
TESTS ?= notebooks/04_train_refine.ipynb tests/browser notebooks tests
# The kernel `python3` is then the one in .venv, also for who has another of that name.
export JUPYTER_PATH := $(CURDIR)/.venv/share/jupyter
# Nobody's own IPython start-up files run in the notebooks, and none are made in the home folder.
export IPYTHONDIR := $(CURDIR)/.venv/ipython
# Waiting OpenMP threads sleep instead of spinning: benchmarks/openmp.py has the figures.
export OMP_WAIT_POLICY ?= PASSIVE
# Test files side by side, one a core; what starts kernels comes first, on one core.
JOBS ?= $(shell nproc)
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder
PAPERMILL := $(PY) -m papermill --kernel python3 --log-output --no-progress-bar

.PHONY: help env data run test test-quick lint lab bench notebooks results claims claims-small rivals small gpu-train pictures lock croissant docs dist sbom clean

help: ## show this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14 | sed 's/^/  /'

env: ## make .venv from env/requirements.lock (PYTHON=python3.11 picks the Python)
	@env/setup.sh

data: env ## write the synthetic data set under data/
	@$(PY) -m senorita_lib.datasets.synthetic $(DATA)

run: env data ## the whole paper: notebooks, training, tables (RECIPE=tiny MODELS="1 2 3 4")
	@mkdir -p runs/notebooks $(MODELS:%=$(RUNS)/model_%)
	@set -e; for name in 01_data_cropping 02_input_representations 03_skeleton_renderer; do \
	    echo "== $$name"; \
	    $(PAPERMILL) notebooks/$$name.ipynb runs/notebooks/$$name.ipynb; \
	done
	@set -e; for model in $(MODELS); do \
	    echo "== 04_train_refine, model $$model, recipe $(RECIPE)"; \
	    $(PAPERMILL) notebooks/04_train_refine.ipynb $(RUNS)/model_$$model/04_train_refine.ipynb \
	        -p model $$model -p recipe $(RECIPE); \
	done
	@echo "== 05_results"
	@$(PAPERMILL) notebooks/05_results.ipynb $(RUNS)/05_results.ipynb -p results $(RUNS)
	@$(PY) -m senorita_lib.experiments.tables $(RUNS)
	@echo "== 06_own_frames"
	@$(PAPERMILL) notebooks/06_own_frames.ipynb runs/notebooks/06_own_frames.ipynb
	@echo "Executed notebooks: runs/notebooks and $(RUNS). Checkpoints: $(RUNS)/model_*. Data: $(DATA)."

test: env data ## all tests, the notebooks' outputs included (TESTS="tests/browser" picks some, ARGS= more for pytest)
	$(PYTEST) --nbval --nbval-current-env --nbval-cell-timeout=900 --durations=10 \
	    $(TESTS) $(ARGS)

test-quick: env ## the tests without the slow ones, no notebooks
	$(PYTEST) tests -m "not slow" $(ARGS)

lint: env ## ruff, over code and notebooks, and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

lab: env data ## open the notebooks in JupyterLab (ARGS="--no-browser" on a remote machine, "--allow-root" as root)
	@$(PY) -m senorita_lib.console lab $(ARGS)

bench: env ## every benchmark in turn
	@set -e; for script in $(filter-out benchmarks/gpu_train.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(PY) $$script; done

notebooks: env data ## execute the committed notebooks in place (NOTEBOOKS="03 05" picks some)
	@$(PY) env/notebooks.py $(NOTEBOOKS)

results: ## keep the numbers and poses of runs/tiny under results/, where notebook 05 reads them
	@set -e; for model in $(MODELS); do \
	    mkdir -p results/$(RECIPE)/model_$$model; \
	    cp $(RUNS)/model_$$model/result.json $(RUNS)/model_$$model/predictions.npz results/$(RECIPE)/model_$$model/; \
	done

claims: env ## train for every claim of the paper (results/claims.json; two to three hours on two cores)
	$(PY) -m senorita_lib.experiments.ledger

claims-small: env ## eq. 4 and refinement at several errors of the network (many hours; resumes, ARGS="--seeds 0 1")
	$(PY) -m senorita_lib.experiments.regimes $(ARGS)

rivals: env ## A2J, AWR and direct regression on the same images, and the add-ons on them (many hours; resumes)
	$(PY) -m senorita_lib.experiments.regimes --heads $(ARGS)

small: env data ## make the weights that come with the package anew (hours on two cores)
	$(PY) -m senorita_lib small --set source=open handedness=True validation_share=0.1 seed=1 --data $(DATA) --folder runs/open
	$(PY) -m senorita_lib.weights runs/open small
	$(PY) -m senorita_lib.experiments.confidence small --calibrate

# Without .venv, as on a machine without package registries: make gpu-train PY=python3
gpu-train: ## train a recipe on the synthetic stream in MINUTES (RECIPE=paper MINUTES=8 SET="model=2 batch=48")
	PYTHONPATH=. $(PY) benchmarks/gpu_train.py $(RECIPE) --minutes $(MINUTES) --set $(SET)

pictures: env ## draw the README's pictures anew
	$(PY) -m senorita_lib.figures.pictures pictures/

lock: env ## resolve env/requirements.lock anew (TORCH=2.13.0 pins another torch)
	$(PY) env/lock.py $(TORCH)

croissant: env data ## describe the synthetic data set for programs (Task 1/croissant.json)
	$(PY) env/croissant.py $(DATA)

# The variable: MkDocs does not advertise what might succeed it.
docs: env ## build the docs site into site/, every warning an error; open site/index.html
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

dist: env ## build the wheel and the source archive into dist/, the same bytes for the same commit
	rm -rf $(DIST)
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(PY) -m build --no-isolation --outdir $(DIST)
	$(PY) -m twine check --strict $(DIST)/*
	cd $(DIST) && sha256sum *

sbom: env ## list what .venv holds, with licences, in CycloneDX's form (dist/sbom.cdx.json)
	mkdir -p $(DIST)
	$(PY) -m cyclonedx_py environment --pyproject pyproject.toml --output-reproducible \
	    --output-file $(DIST)/sbom.cdx.json $(PY)

clean: ## remove .venv, data, dist, runs and site
	@echo "Removing .venv, data, dist, runs and site (trained checkpoints too)."
	@rm -rf .venv data dist runs site
