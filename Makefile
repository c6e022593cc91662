# Everything a user types; each target sets up what it needs by itself.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup setup-dev demo test check chaos e2e bench latency shots lock clean

setup: $(VENV)/.set-up
setup-dev: $(VENV)/.set-up-dev

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Zuruf needs Python 3.11 or newer; this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.set-up: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.set-up-dev: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/.set-up

demo: setup
	$(BIN)/zuruf up --demo $(ARGS)

test: setup-dev
	$(BIN)/python -m pytest $(ARGS)

check: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

chaos: setup-dev
	$(BIN)/python -m tests.chaos $(ARGS)

e2e: setup-dev
	$(BIN)/python -m tests.e2e $(ARGS)

latency: setup-dev
	$(BIN)/python -m tests.bench.latency $(ARGS)
	$(BIN)/python -m tests.bench.steps

bench: setup-dev
	$(BIN)/python -m tests.bench $(ARGS)

shots: setup-dev
	$(BIN)/python -m tests.browser.shots $(ARGS)

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml lock-build.in -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev --constraint requirements.lock pyproject.toml lock-build.in -o requirements-dev.lock

clean:
	rm -rf $(VENV) .zuruf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
