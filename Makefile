# make all     set up, run the whole graph, print the report's path    [PANEL=p.csv PROFILE=demo YEARS=2024,2025]
# make test    set up, lint, check import contracts and types, run the test suite    [WORKERS=2]
# make dev     set up, open the Dagster UI with its daemon              [PANEL=p.csv PROFILE=demo]
# make lint    the checks of `make test` without the tests
# make docs    the documentation as a site, build/docs/index.html
# make bench   the benchmarks; results go to benchmarks/results/
# make record  the run of record: claims declared, the whole graph, verify, published    PANEL=p.parquet MACRO=m.csv [ROOT=data/record]
# make audit   look the locked packages up in the advisory database (needs the internet)
# make lock    rewrite requirements.lock, requirements-chronos.lock and requirements-fev.lock from pyproject.toml
# make clean   remove what setting up and testing left behind; data/ and dagster_home/ stay

SHELL := /bin/bash
BIN := .venv/bin
STAMP := .venv/.installed

PROFILE ?= demo
PANEL ?=
MACRO ?=
ROOT ?= data/record
YEARS ?=
WORKERS ?= 2

# The first interpreter that runs, is of a supported version and can build an environment. (A version manager's
# shim may be on PATH and still fail, so each candidate is tried, not only looked up.)
SUITABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	if "$$p" -c '$(SUITABLE)' >/dev/null 2>&1; then echo "$$p"; break; fi; done)
NO_PYTHON := No usable Python 3.11 or 3.12 with the venv module found on PATH: install one, or name it with make PYTHON=/path/to/python3.11.

# A shell without job control starts background children with SIGINT ignored; Dagster's processes need it to stop.
SIGNALS := $(shell env --default-signal=INT,TERM true 2>/dev/null && echo env --default-signal=INT,TERM)

# Compiled modules are kept, also where the environment says otherwise: each process starts a fifth faster.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: all test dev serve lint docs bench record audit lock clean
.DELETE_ON_ERROR:

all dev: export DAGSTER_HOME := $(CURDIR)/dagster_home

all: $(STAMP)
	$(BIN)/forecast-assets run --profile "$(PROFILE)" $(if $(PANEL),--panel "$(PANEL)") $(if $(YEARS),--years "$(YEARS)")

test: lint
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

dev: export FORECAST_PROFILE := $(PROFILE)
dev: $(STAMP)
	$(if $(PANEL),FORECAST_PANEL="$(PANEL)") $(SIGNALS) $(BIN)/forecast-assets ui -w workspace.yaml -h 127.0.0.1

serve: export FORECAST_PROFILE := $(PROFILE)
serve: $(STAMP)
	$(SIGNALS) $(BIN)/forecast-assets serve $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)")

docs: $(STAMP)
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

bench: $(STAMP)
	for name in pipeline ingest mutants panel_features panel; do $(BIN)/python -m benchmarks.$$name || exit; done

record: $(STAMP)
	$(BIN)/python -m campaigns.run_of_record --root "$(ROOT)" --panel "$(PANEL)" --macro "$(MACRO)"

# The extra `chronos` lies apart: where transformers is installed, lightning imports it in every process that trains.
# So does `fev`: its `datasets` asks for older releases of fsspec than s3fs and of huggingface_hub than transformers.
$(STAMP): pyproject.toml requirements.lock requirements-chronos.lock requirements-fev.lock
	@test -x "$$(command -v "$(PYTHON)")" || { echo "$(NO_PYTHON)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	@echo "Installing the locked packages into .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25"
	@$(BIN)/python -m pip install --quiet --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .venv/chronos --requirement requirements-chronos.lock
	@$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .venv/fev --requirement requirements-fev.lock
	@PYTHONWARNINGS="ignore:Editable installation" \
		$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

audit: $(STAMP)
	.ci/audit $(BIN)/pip-audit requirements.lock
	.ci/audit $(BIN)/pip-audit requirements-chronos.lock
	.ci/audit $(BIN)/pip-audit requirements-fev.lock

lock:
	@test -x "$$(command -v "$(PYTHON)")" || { echo "$(NO_PYTHON)" >&2; exit 1; }
	PYTHON="$(PYTHON)" .ci/lock

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
