# The commands of the house. Each prepares what it needs; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test check format bench docs lock clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

help: ## List these commands.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

serve: $(VENV)/.serves ## Start the hub on http://127.0.0.1:8000, with everything it keeps under ./var.
	@exec $(BIN)/creamery serve

test: $(VENV)/.tests ## Run the tests that need nothing but Python.
	$(BIN)/python -m pytest -n auto -m "not installed"

check: $(VENV)/.tests ## Check style, types, the walls between the rooms, and that generated pages are current.
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m scripts.reference --check

format: $(VENV)/.tests ## Put the code into the house's style.
	$(BIN)/ruff check --quiet --fix --exit-zero .
	$(BIN)/ruff format .

bench: $(VENV)/.tests ## Measure beside nginx in one run, against benchmarks/goals.toml.
	$(BIN)/python -m benchmarks

docs: $(VENV)/.tests ## Write the pages of docs/reference/ from settings, limits, commands and routes.
	$(BIN)/python -m scripts.reference

lock: $(VENV)/.tests ## Pin anew what requirements/ names, with hashes and without addresses.
	scripts/lock

clean: ## Remove what these commands made, except ./var.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

# The stamps: made again when a pin, the project's own metadata or the environment changes.
$(VENV)/.serves: requirements/server.txt requirements/build.txt pyproject.toml $(VENV)/.made
	$(PIP) install --quiet --require-hashes -r requirements/build.txt -r requirements/server.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.tests: requirements/test.txt $(VENV)/.serves
	$(PIP) install --quiet --require-hashes -r requirements/test.txt
	@touch $@

$(VENV)/.made:
	@scripts/make-environment $(VENV)
	@touch $@
