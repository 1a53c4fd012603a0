# Everything that people and CI do here. `make` alone tells what there is.
# The virtual environment is made and kept up to date by itself: a changed lock file is installed on the next call.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?=
ARGS ?=
PYTEST_ARGS ?=
TEST_PROCESSES ?= 3
LOCK_ARGS ?=
SUITE ?=
BENCH_ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PACKAGES := detectors alerts store streams console
INSTALL_PROJECT := $(PIP) install --quiet --no-deps --no-build-isolation --editable .
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_ARGS)

.PHONY: help
help: ## tell what there is
	@echo "emberwatch: make TARGET"
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/' | expand -t 12
	@echo
	@echo '  make run ARGS="--config emberwatch.yaml"     PYTHON=python3.12 make test     make test PYTEST_ARGS="-m slow"'

.PHONY: run
run: .venv/.runtime ## start the service here: SQLite, no Kafka, a demo fleet unless a config is given
	@exec $(BIN)/emberwatch run $(ARGS)

.PHONY: test
test: .venv/.dev ## run every test, with a real Kafka and a real PostgreSQL
	@exec $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

.PHONY: soak
soak: .venv/.dev ## kill and do other faults at random for a night, on both stores, and check after each (ARGS="--rounds 20 --seed 1 --minutes 30")
	@exec $(BIN)/python -m tests.faults.soak $(ARGS)

.PHONY: lint
lint: .venv/.dev ## check format, style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict $(addprefix --package ,$(PACKAGES))
	$(BIN)/lint-imports --no-cache

.PHONY: format
format: .venv/.dev ## put the code into the one format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: bench
bench: .venv/.dev ## measure speed and memory, beside others, on a real Kafka (SUITE=ingest, BENCH_ARGS=--quick)
	@exec $(BIN)/python -W ignore -m benchmarks.run $(SUITE) $(BENCH_ARGS)

.PHONY: lock
lock: .venv/.dev ## write the lock files anew from pyproject.toml (LOCK_ARGS=--upgrade for newer versions)
	$(LOCK) --extra build --output-file requirements.lock
	$(LOCK) --extra build --extra dev --constraint requirements.lock --output-file requirements-dev.lock

.PHONY: clean
clean: ## remove the virtual environment and all caches; data of the service stays
	rm -rf .venv .cache benchmarks/.peers .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# the first Python of the right version that can make a virtual environment
.venv/.python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
			>/dev/null 2>&1; then found="$$python"; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
		echo "emberwatch needs Python 3.11, 3.12 or 3.13 with venv (on Debian: apt-get install python3-venv);" \
			"name one with PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	echo "making .venv with $$found"; \
	"$$found" -m venv --clear .venv
	@touch $@

.venv/.runtime: requirements.lock pyproject.toml | .venv/.python
	@echo "installing what the service needs (about a minute the first time)"
	@$(PIP) install --quiet --require-hashes --requirement requirements.lock
	@$(INSTALL_PROJECT)
	@touch $@

.venv/.dev: requirements-dev.lock requirements.lock pyproject.toml | .venv/.python
	@echo "installing what the service and its tests need (about a minute the first time)"
	@$(PIP) install --quiet --require-hashes --requirement requirements-dev.lock
	@$(INSTALL_PROJECT)
	@touch .venv/.runtime $@
