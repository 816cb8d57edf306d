# Every recipe builds its own environment first: .venv, from the pinned versions in constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests start many interpreters, and none of them should compile again what another has compiled.
export PYTHONDONTWRITEBYTECODE :=
READY := $(VENV)/.ready

.PHONY: help demo demo-kill test check lint types docs soak fuzz crash bench generate clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@echo "building $(VENV) from constraints.txt"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fleetdeploy needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## the main job: 300 apps against the embedded simulator, in about half a minute
	@$(BIN)/fleetdeploy demo

demo-kill: $(READY) ## the same with a kill in the middle and the resume
	@$(BIN)/fleetdeploy demo --kill

test: $(READY) ## all tests
	@$(BIN)/python -m pytest -n 3 --dist worksteal

check: lint types docs ## lint, format, types, floors, docs in step with the code

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

docs: $(READY)
	@$(BIN)/python -m pytest -q -p no:randomly tests/test_tidy.py tests/test_docs.py

bench: $(READY) ## the benchmarks, as a table
	@$(BIN)/python -m tests.bench

soak: $(READY) ## seeded nights until MINUTES are up (default 10)
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10) $(if $(JSON),--json $(JSON))

fuzz: $(READY) ## hostile inputs until MINUTES are up (default 5), for all targets or for ONLY
	@$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),5) $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON))

crash: $(READY) ## the real command line killed KILLS times (default 500)
	@$(BIN)/python -m tests.crash.real --kills $(or $(KILLS),500) $(if $(JSON),--json $(JSON))

generate: $(READY) ## write the JSON Schemas and the generated docs from the code
	@$(BIN)/python -m tests.generate

clean: ## remove the environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
