# make help says what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python
TESTS ?= tests
# Files of tests that run side by side.
WORKERS ?= 2
# What decides, reads and writes without a process, a server or a disk. A file is named by what it is about, wherever it lies.
QUICK := tests/deadlines tests/setup/test_rooms.py $(foreach about,codes components contract counts domain domain_machine draft \
  fees fold heads indicators leaf linter merkle message note preferences proof protos public_view quotes requests search \
  sending states templates terms tiles,$(wildcard tests/*/test_$(about).py))
POLICIES := tests/charts/policies

define say
	@printf '\033[1m%s\033[0m\n' $(1)
endef

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(if $(filter postgresql --database=postgresql,$(ARGS)),.venv/dev,.venv/run) protos ## Start everything on this machine (ARGS="--processes --database postgresql" and more)
	@$(BIN)/motcua up --demo $(ARGS)

test: .venv/dev protos ## Run the tests (TESTS=tests/edge for some of them), but for what is long
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS) $(ARGS)

test-long: .venv/dev protos ## Run what `make test` leaves: crashes, containers, matrices of browsers
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --long=only $(TESTS) $(ARGS)

test-failed: .venv/dev protos ## Run what failed the last time once more, with nothing beside it; not more than ten tests
	@$(PY) -c 'import json; failed = json.load(open(".pytest_cache/v/cache/lastfailed")); \
	  print("failed once:", *failed, sep="\n  "); raise SystemExit(len(failed) > 10 and "too many to be chance")'
	@$(PY) -m pytest -n0 --long=too --last-failed --last-failed-no-failures none $(ARGS)

test-all: .venv/dev protos ## Run every test
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --long=too $(TESTS) $(ARGS)

quick: .venv/dev protos ## Run what decides, reads and writes without a process or a disk: within a minute
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile $(QUICK) $(ARGS)

check: .venv/dev protos ## Lint, types, layers, protos: what CI checks before the tests
	$(call say,"ruff")
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(call say,"mypy")
	@$(BIN)/mypy
	$(call say,"import-linter")
	@$(BIN)/lint-imports
	$(call say,"buf")
	@$(PY) -m scripts.check_protos

bench: .venv/dev protos ## Measure (ARGS="..." is passed on)
	@$(PY) -m loadtests $(ARGS)

docs: .venv/dev protos ## Write the pages that are made from the code: settings, commands, decisions
	@$(PY) -m scripts.document

protos: .venv/run ## Build the protos: Python beside them, descriptors into build/
	@$(PY) scripts/build_protos.py

baseline: .venv/dev protos ## Promise the protos as they are: with a release, never to let a break through (protos/README.md)
	@$(PY) -m scripts.check_protos --baseline

wheels: .venv/dev protos ## Build both wheels into build/dist: motcua, and motcua-api for other systems
	$(call say,"Building wheels")
	@$(PY) -m pip wheel -q --no-deps --no-build-isolation -w build/dist . ./protos && ls -1 build/dist

images: .venv/dev ## Build both container images with podman or docker (ARGS="--base ... --tag ...")
	@$(PY) -m scripts.images $(ARGS)

policies: .venv/checkov/installed .venv/dev ## Judge the rendered chart by checkov's policies
	@$(PY) -m tests.charts.policies

# The larger lock first: what both hold has one version, with which the development tools work too.
lock: .venv/dev ## Pin every dependency, with hashes, for every platform (ARGS=--upgrade to the newest)
	@lock="$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' $(ARGS)"; \
	eval "$$lock -o requirements-dev.lock --extra dev pyproject.toml" && \
	eval "$$lock -o requirements.lock -c requirements-dev.lock pyproject.toml" && \
	eval "$$lock -o $(POLICIES)/requirements.lock $(POLICIES)/requirements.in" && \
	eval "$$lock -o scripts/uv.txt scripts/uv.in"

clean: ## Remove what was built; data and .venv stay
	@rm -rf build *.egg-info protos/*.egg-info protos/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find protos/motcua -name '*_pb2*.py*' -delete; find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# Stamps: the environment is set up again when a lock changes.
.venv/run: requirements.lock scripts/uv.txt pyproject.toml
	$(call say,"Setting up .venv (the first time takes a minute)")
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, this is {sys.version}: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/uv || $(PYTHON) -m venv --clear --without-pip .venv
	@scripts/install $(PY) $<
	@$(BIN)/uv pip install -q --no-config --python $(PY) --no-deps --no-build-isolation -e . -e protos
	@$(BIN)/uv pip check -q --python $(PY)
	@touch $@

.venv/dev: requirements-dev.lock .venv/run
	$(call say,"Adding the development tools")
	@scripts/install $(PY) $<
	@$(BIN)/uv pip check -q --python $(PY)
	@touch $@

# Its dependencies must not meet ours.
.venv/checkov/installed: $(POLICIES)/requirements.lock .venv/run
	$(call say,"Adding checkov")
	@$(PYTHON) -m venv --clear --without-pip $(@D)
	@scripts/install $(@D)/bin/python $<
	@$(@D)/bin/uv pip check -q --python $(@D)/bin/python
	@touch $@

.PHONY: help baseline run quick test test-long test-failed test-all check bench docs protos wheels images policies lock clean
