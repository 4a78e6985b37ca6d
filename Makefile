# Physio. `make run` and `make test` need nothing but make and Python 3.11 or newer.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11 python3.14; do \
  if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$each; exit; fi; done)
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run-$(shell cksum < requirements.txt | tr -d ' ')
DEV := $(VENV)/.dev-$(shell cksum < requirements-dev.txt | tr -d ' ')
# One worker more than there are processors: a good part of the time a test waits for PostgreSQL or for a process.
TESTS = $(BIN)/python -m pytest -q -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal
CODE := api services schemas models clinical integrations jobs core cli dev benchmarks tests alembic
DENIED = { echo "Physio: $$(id -un) may not use $(CURDIR) as it is: it belongs to $$(ls -ld . | awk '{print $$3}')." \
  "Work as that user, or in a clone of your own." >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE :=
export PYTHONUNBUFFERED := 1

.PHONY: run
run: $(RUN)  ## Start everything: PostgreSQL, demo clinic, API, worker (Ctrl-C stops it all)
	@[ -x $(BIN)/python ] || $(DENIED)
	@exec $(BIN)/python -m cli up

.PHONY: test
test: $(DEV)  ## Run all tests, against a PostgreSQL of their own
	@$(TESTS)

.PHONY: check
check: $(DEV)  ## Everything CI runs: lint, types, imports, migrations, tests, coverage
	@$(MAKE) --no-print-directory -j 2 cover static

.PHONY: static
static: $(DEV)  ## All that looks at the code without running it: lint, imports, squawk, types
	@$(MAKE) --no-print-directory -j 1 lint imports squawk types

.PHONY: lint
lint: $(DEV)  ## Style, by ruff
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check -q $(CODE)

.PHONY: types
types: $(DEV)  ## Types, by mypy in strict mode
	@$(BIN)/mypy

.PHONY: imports
imports: $(DEV)  ## The import rule: a floor leans only on floors below it
	@$(BIN)/lint-imports --no-cache

.PHONY: squawk
squawk: $(DEV)  ## Migrations that would hurt a running clinic, by squawk
	@$(BIN)/python -m dev.squawk

.PHONY: cover
cover: $(DEV)  ## All tests, and which lines none of them runs
	@$(subst -m pytest,-m slipcover -m pytest,$(TESTS))
	@$(BIN)/python -m tests.covered

.PHONY: contract
contract: $(DEV)  ## Attack every operation with what its OpenAPI document allows and forbids, by schemathesis
	@$(TESTS) tests/contract --thorough

.PHONY: soak
soak: $(DEV)  ## Kill workers, API and PostgreSQL for a quarter of an hour, and count what is lost or doubled
	@$(BIN)/python -m tests.soak

.PHONY: bench
bench: $(DEV)  ## Measure speed and memory as ratios to a floor in the same run
	@$(BIN)/python -m benchmarks

.PHONY: demo
demo: $(RUN)  ## Make the demo clinic without starting the API
	@$(BIN)/python -m cli demo

.PHONY: migrate
migrate: $(RUN)  ## Bring the database to the newest revision
	@$(BIN)/python -m cli db migrate

.PHONY: serve
serve: $(RUN)  ## Start the API alone
	@exec $(BIN)/python -m cli serve

.PHONY: worker
worker: $(RUN)  ## Start the worker alone
	@exec $(BIN)/python -m cli worker

.PHONY: openapi
openapi: $(RUN)  ## Write docs/openapi.json as the code has it
	@$(BIN)/python -m cli openapi

.PHONY: format
format: $(DEV)  ## Format the code
	@$(BIN)/ruff check -q --fix $(CODE)
	@$(BIN)/ruff format -q $(CODE)

.PHONY: lock
lock: $(DEV)  ## Lock the newest versions that requirements.in allows, with their hashes
	@$(BIN)/python -m pip install -q uv
	@for each in requirements requirements-dev; do $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header $$each.in -o $$each.txt; done

.PHONY: clean
clean:  ## Remove the virtual environment and caches (the data in .physio/ stays)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

.PHONY: help
help:  ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' \
	  | while IFS=$$'\t' read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

$(VENV)/pyvenv.cfg:
	@[ -w . ] || $(DENIED)
	@[ -n "$(PYTHON)" ] || { echo "Physio needs Python 3.11 or newer; say where it is with PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)

$(RUN): $(VENV)/pyvenv.cfg requirements.txt
	@[ -w $(VENV) ] || $(DENIED)
	@echo "Installing what Physio needs (a minute, once) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.txt \
	  2> >(grep -vE '^(WARNING|DEPRECATION)' >&2)
	@rm -f $(VENV)/.run-*; touch $@

$(DEV): $(VENV)/pyvenv.cfg requirements-dev.txt
	@[ -w $(VENV) ] || $(DENIED)
	@echo "Installing what Physio and its tests need (a minute, once) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt \
	  2> >(grep -vE '^(WARNING|DEPRECATION)' >&2)
	@rm -f $(VENV)/.dev-*; touch $@
