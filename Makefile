# What a person types. Every target installs what it needs first; `make help` lists them.

SHELL := bash
BIN   := .venv/bin
CORES ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)

# Jobs and tests that start `snakemake` or `python` get those of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-thorough test-slurm reliability lint bench bench-gpu bench-slurm lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  CORES=$(CORES)  cores for demo and test;  PYTHON=...  the Python 3.11 to install with;"
	@echo "  ARGS=...  more arguments for pytest"

setup: ## install the locked environment into .venv (nothing to do if it is there)
	@envs/install.sh

# Report and message follow from the files: anything in results/ newer than the report means a new report.
demo: setup ## run the default study, write its report, say where everything is
	@[ -e results/report.html ] || \
	    echo "memscore: the default study, four to six minutes on two cores; how many of its steps are done follows"
	@$(BIN)/snakemake --cores $(CORES) --rerun-incomplete --quiet rules host reason
	@if [ -e results/report.html ] && \
	    [ -z "$$(find results/ -type f ! -name README.md -newer results/report.html -print -quit)" ]; then \
	    echo "Nothing to do: the study is up to date"; \
	else \
	    echo "memscore: all steps are done; writing the report" && \
	    $(BIN)/snakemake --report results/.report.part.html --quiet && \
	    mv results/.report.part.html results/report.html; \
	fi
	@echo "  report   results/report.html"
	@echo "  figures  results/figures/"
	@echo "  tables   results/layers.csv, results/correlations.csv"

# One pytest worker a core, each with one thread. Tests of one xdist_group share a worker, and a study that takes long.
PYTEST = OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(CORES) --maxprocesses 4 --dist loadgroup \
    --no-loadscope-reorder

test: setup ## run the tests of everything that a change can break
	@$(PYTEST) -m "not (thorough or real_data or slurm)" $(ARGS)

test-all: test test-thorough test-slurm ## run these, and those that take longer

test-thorough: setup ## run whole studies, faults, real data, benches
	@$(PYTEST) -m "(thorough or real_data) and not slurm" $(ARGS)

# One at a time, on a Slurm of their own, in /etc/slurm and in the background, that goes when they end.
test-slurm: setup ## run the tests on a real Slurm (root; apt-get install slurm-wlm munge slurmdbd mariadb-server)
	@$(BIN)/python -m pytest -m slurm $(ARGS)

reliability: setup ## break things on purpose, on this machine and on a real Slurm: docs/reliability.md
	@rm -f docs/reliability.md
	@MEMSCORE_SLURM=1 $(BIN)/python -m pytest tests/faults --reliability docs/reliability.md $(ARGS)

lint: setup ## check style and the workflow
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint

# Peers (scikit-learn, brainscore-vision, ikpls, thingsvision) run beside memscore, those whose pins clash with ours in
# environments of their own. Nothing else should be running: an hour or more on two cores.
bench bench-gpu: export PYTHONPATH := $(CURDIR)/workflow
bench bench-gpu: AS_A_JOB = env $(shell python3 workflow/memscore/libraries.py)
bench: setup ## measure speed and memory beside other packages: results/bench/, docs/performance.md
	@bench/install_peers.sh
	@$(AS_A_JOB) $(BIN)/python bench/workflow.py
	@$(AS_A_JOB) $(BIN)/python bench/scoring.py
	@$(AS_A_JOB) $(BIN)/python bench/extraction.py
	@$(AS_A_JOB) $(BIN)/python bench/storage.py
	@$(BIN)/python bench/report.py

bench-gpu: setup ## what a GPU computes and takes: results/bench/gpu.csv, docs/performance.md
	@if $(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then \
	    $(AS_A_JOB) $(BIN)/python bench/gpu.py && $(BIN)/python bench/report.py; \
	else \
	    echo "bench-gpu: torch sees no GPU here: skipped"; \
	fi

bench-slurm: setup ## what a job costs on Slurm: results/bench/slurm.csv, docs/performance.md
	@PYTHONPATH=workflow:tests $(BIN)/python bench/slurm.py && PYTHONPATH=workflow $(BIN)/python bench/report.py

lock: setup ## rewrite envs/memscore.yaml from envs/lock.txt; UPGRADE=1 first resolves pyproject.toml anew
	@$(BIN)/python envs/make_lock.py $(if $(UPGRADE),--upgrade)

clean: ## remove what runs made: resources/, logs/, results/ (its README stays), .snakemake/
	@for made in resources logs .snakemake $$(find results/ -mindepth 1 -maxdepth 1 ! -name README.md); do \
	    if [ -e "$$made" ] || [ -L "$$made" ]; then echo "removing $$made"; rm -rf "$$made"; fi; \
	done
