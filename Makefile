# Everything a contributor or a machine runs. Needs Python >= 3.11, make and git; the rest is installed into .venv.
#
#   make setup   the environment, from the locked requirements
#   make demo    the main job on real HTTP traffic, non-interactive
#   make test    all of lint, types, floors and the test suite
#   make help    the other targets

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
UV ?= uv
PYTEST_WORKERS ?= auto
PYTEST_ARGS ?=
SPEC ?=
FUZZ_ARGS ?=

# The first interpreter that is new enough; `make PYTHON=/path/to/python` overrides the search.
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(ENOUGH)' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# Many images ask for no bytecode. A test run starts cities and clients by the hundred, and each would compile everything
# it imports: a third of its start, and half of what collecting the tests costs.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint format types floors unit kills docs lock build bench fuzz clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

# --- environment ----------------------------------------------------------------------------------------------------
# Two stamps: the packages change with the lock, the editable install of this project with its own metadata.

setup: $(VENV)/.installed ## create .venv and install the locked packages and this project (quick when nothing changed)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed: install it, or run make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c '$(ENOUGH)' || { echo "make: $(PYTHON) is older than Python 3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.locked: requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.locked
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# --- what the project does ------------------------------------------------------------------------------------------

demo: setup ## start a city and two simulated providers, show the main job, leave nothing running
	$(BIN)/python scripts/demo.py

test: check unit ## everything: lint, types, floors, tests

check: lint types floors

lint: setup ## ruff, as checker and as formatter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## let ruff rewrite the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## mypy --strict
	$(BIN)/mypy

floors: setup ## import-linter: a room imports only from floors below it
	$(BIN)/lint-imports

unit: setup ## the test suite alone; PYTEST_ARGS="tests/core -x" narrows it
	$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) $(PYTEST_ARGS)

kills: setup ## a session is killed with -9 at each of its steps, more than 200 times in all (a minute)
	PHAROS_KILLS=all $(BIN)/python -m pytest -q tests/runtime/session/test_kill.py

docs: setup ## write the generated code and pages again: typed client, docs/reference
	$(BIN)/python -m scripts.generate_client
	$(BIN)/python -m scripts.generate_docs

bench: setup ## benchmarks against named peers (minutes; installs the peers into .bench)
	$(BIN)/python benchmarks/log.py
	$(BIN)/python benchmarks/gateway.py
	$(BIN)/python benchmarks/sessions.py
	$(BIN)/python benchmarks/mesh.py

fuzz: setup ## drive a city by OpenAI's published API description: make fuzz SPEC=openapi.json (not in this repository)
	@test -n "$(SPEC)" || { echo "make: name the description: make fuzz SPEC=path/to/openapi.json" >&2; exit 2; }
	$(BIN)/python scripts/fuzz_openai.py --spec "$(SPEC)" $(FUZZ_ARGS)

build: setup ## wheel and source distribution into dist/
	$(BIN)/hatchling build

lock: ## resolve requirements.lock anew from pyproject.toml (needs uv)
	$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--quiet --custom-compile-command "make lock" --output-file requirements.lock

clean: ## remove the environment, caches and everything generated outside git
	rm -rf $(VENV) .bench dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
