# distilflow: every target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
TORCH ?= torch==2.13.0
PIP_AUDIT ?= pip-audit==2.10.1
# One more than the cores: tests often wait for a server or a process.
WORKERS ?= 3
KILLS ?= 200
# A number that gives the order of the tests; without one, they run as they are found.
SHUFFLE ?=
READY := .venv/.ready
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# With it, Python finds none of this repository's modules.
unexport PYTHONSAFEPATH
# Nothing phones home.
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
# Files are UTF-8 whatever the locale says.
export PYTHONUTF8 := 1

# DVC does not say what an unpacked archive lacks. A repository that git does not trust is no obstacle to DVC.
define check_repository
@if { LC_ALL=C git rev-parse 2>&1 || true; } | grep -q "not a git repository" && ! grep -qs no_scm .dvc/config.local; then \
  echo "This folder is no git repository, and DVC needs one: git init   (or, to do without: dvc config --local core.no_scm true)"; \
  exit 2; fi
endef

.PHONY: help setup s3 demo repro ui test test-slow chaos check format config schema bench results plots image lock audit clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## Make the virtual environment from the lock file

$(READY): requirements/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "distilflow needs Python 3.11; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	@echo "Installing into .venv (about two minutes) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/requirements.lock
	@# No hash for torch: CPU and CUDA builds of one version differ. Its own CUDA packages come with it where it needs them.
	@$(BIN)/python -m pip install --quiet "$(TORCH)"
	@touch $(READY)

s3: $(READY) ## Add what DVC needs for a remote on S3 (runs over many machines)
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/s3.lock

demo: $(READY) ## Run the whole pipeline on the embedded benchmark and print the result
	$(check_repository)
	@python -m config params.yaml
	@dvc repro
	@echo
	@cat outputs/report/table.txt
	@echo
	@cat outputs/register/table.txt
	@echo
	@echo "Report: outputs/report/report.html (numbers: outputs/report/report.json)"
	@echo "Next:"
	@echo "  . .venv/bin/activate                      once, for those below and in README.md"
	@echo "  dvc exp run -S mse_kd.temperature=3       another temperature: only what it touches runs again"
	@echo "  python -m flows plan                      what a run would do, and why"
	@echo "  make ui                                   Prefect and MLflow in the browser"

repro: $(READY) ## Run the stages that are out of date (dvc repro)
	$(check_repository)
	@python -m config params.yaml > /dev/null
	@dvc repro

ui: $(READY) ## Start MLflow's and Prefect's user interfaces on this machine (Ctrl-C ends both)
	@python -m flows ui

test: $(READY) ## Run the tests (10 minutes at most on 2 cores; SHUFFLE=7: in another order)
	@OMP_NUM_THREADS=1 python -m pytest -q -n $(WORKERS) --dist loadgroup -m "not slow" $(if $(SHUFFLE),--shuffle $(SHUFFLE))

test-slow: $(READY) ## Run the slow tests: means over 5 seeds, the planted problem
	@OMP_NUM_THREADS=1 python -m pytest -q -s -m slow

chaos: $(READY) ## Kill stages, pipelines and the registry at random, compare what they leave (KILLS=200)
	@OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 PYTHONPATH=tests python -W ignore -m tests.chaos --kills $(KILLS)

check: $(READY) ## Style, types, dependencies of the lock
	@ruff format --check .
	@ruff check .
	@ty check
	@python -m pip check

format: $(READY) ## Format and mend what can be mended
	@ruff check --fix --exit-zero --quiet .
	@ruff format .

config: $(READY) ## Check params.yaml and every profile, print all their errors
	@python -m config params.yaml profiles/*.yaml

schema: $(READY) ## Write the JSON schema that editors use for params.yaml
	@python -m config --schema > params.schema.json

plots: $(READY) ## Render DVC's plots to outputs/plots/index.html
	@dvc plots show -o outputs/plots

bench: $(READY) ## Measure what the pipeline costs against its targets (outputs/bench.json)
	@OMP_NUM_THREADS=1 python -m benchmarks.bench

results: $(READY) ## Write the pages and pictures of docs/results from their rows
	@python -m experiments.results docs/results/runs.jsonl docs/results/superglue-minilm.md
	@python -m experiments.results docs/results/runs-corrected.jsonl docs/results/superglue-minilm-corrected.md
	@python -m experiments.methods_results docs/results/runs.jsonl docs/results/methods.md
	@python -m experiments.evidence_page docs/results/glue.jsonl docs/results/glue.md

image: ## Build the container image (docker, or buildah where there is no docker)
	@if command -v docker > /dev/null; then docker build --tag distilflow --build-arg REVISION="$$(git rev-parse HEAD)" .; \
	  else buildah build --layers --tag distilflow --build-arg REVISION="$$(git rev-parse HEAD)" .; fi

COMPILE := .venv/lock/bin/pip-compile --quiet --generate-hashes --strip-extras \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
# One a line of the lock: s3.lock holds what that one lacks, with the versions that fit it.
LOCKED = $(shell sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--unsafe-package \1/p' requirements/requirements.lock)

lock: $(READY) ## Resolve requirements.in and s3.in into requirements.lock and s3.lock (five minutes)
	@$(PYTHON) -m venv .venv/lock && .venv/lock/bin/pip install --quiet pip-tools
	@$(COMPILE) --unsafe-package torch --output-file requirements/requirements.lock requirements/requirements.in
	@$(COMPILE) $(LOCKED) --no-header --constraint requirements/requirements.lock --output-file requirements/s3.lock requirements/s3.in
	@sed -i '/^# WARNING/,$$d' requirements/s3.lock  # of pip-compile: what the other lock pins is not named here

audit: ## Ask about known vulnerabilities of the lock: status 0 none, 1 some, 3 could not ask
	@$(PYTHON) -m venv .venv/audit && .venv/audit/bin/pip install --quiet "$(PIP_AUDIT)" || \
	  { echo "audit: could not ask: $(PIP_AUDIT) can't be installed from this index" >&2; exit 3; }
	@$(PYTHON) requirements/audit.py .venv/audit/bin/pip-audit

clean: ## Remove what the pipeline wrote; the registry, Prefect's runs, DVC's cache and the environment stay
	@find outputs -mindepth 1 -maxdepth 1 ! -name mlflow ! -name prefect -exec rm -rf {} + 2> /dev/null || true
