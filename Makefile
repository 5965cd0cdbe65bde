# mexcbot: `make help` lists the targets. Needs make and Python >= 3.11 with venv; everything else is installed into .venv.
#
# Stamps live in .venv/.stamps: a second `make setup` costs nothing, an interrupted one is finished by the next.

SHELL := /bin/sh
PYTHON ?= python3
ARGS ?=

UV_VERSION := 0.13.9
VENV := .venv
BENCH_VENV := .venv-bench
STAMPS := $(VENV)/.stamps
BIN := $(VENV)/bin
UV := $(BIN)/uv
# One worker runs the tests of whole systems, the other the rest (tests/conftest.py sees to it).
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
PACKAGES := actors api dashboard simulator trading bench
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links

# What a start imports is compiled once, at set-up, and kept: five processes of the system import Ray, and where a shell forbids
# it (PYTHONDONTWRITEBYTECODE, as in many images) each start would spend more than half of its time on compiling.
export PYTHONDONTWRITEBYTECODE :=
STARTED := actors.launcher_fleet, actors.wiring_executor, actors.wiring_supervisor, actors.wiring_symbol, api.__main__, \
	simulator.service, trading.adapters.store.migrations, dashboard.view_money, streamlit.web.bootstrap
COMPILE := $(BIN)/python -c "import $(STARTED)" >/dev/null 2>&1 || true
# Whatever is started through make goes down with it, even after kill -9. exec: no shell stands between the two.
RUN_ENV := MEXCBOT_EXIT_WITH_PARENT=1 RAY_USAGE_STATS_ENABLED=0
# Only what the lock names, only what is checked: no per-user uv settings, no surprise interpreter.
UV_ENV := UV_NO_CONFIG=1 UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 VIRTUAL_ENV="$(CURDIR)/$(VENV)"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help setup setup-dev run test soak check bench fmt lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo '  make run ARGS="--json --symbols BTCUSDT"   passes flags to `mexcbot up`'

# An environment whose interpreter is gone, or that was moved here from elsewhere, is built anew: drop its stamps.
ifneq ($(shell $(BIN)/python -c "print('alive')" 2>/dev/null)$(shell cat $(STAMPS)/root 2>/dev/null),alive$(CURDIR))
$(shell rm -rf $(STAMPS))
endif

# --- environment ---------------------------------------------------------------------------------------------------

$(STAMPS)/uv-$(UV_VERSION):
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "error: '$(PYTHON)' was not found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is $$("$(PYTHON)" -V 2>&1), but Python >= 3.11 is needed. Name a newer one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "error: $(PYTHON) has no venv module. Install it (Debian and Ubuntu: apt-get install python3-venv) and run make again." >&2; exit 2; }
	@{ test "$$(cat $(STAMPS)/root 2>/dev/null)" = "$(CURDIR)" && $(BIN)/python -c 'import pip' 2>/dev/null; } || { \
		echo "creating $(VENV) with $$("$(PYTHON)" -V)" >&2; \
		"$(PYTHON)" -m venv --clear $(VENV) >&2 && mkdir -p $(STAMPS) && echo "$(CURDIR)" > $(STAMPS)/root; }
	@test "$$($(UV) --version 2>/dev/null | cut -d' ' -f2)" = "$(UV_VERSION)" || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input "uv==$(UV_VERSION)" >&2
	@touch $@

# `uv pip sync` makes the environment equal to a lock. The dev lock is a superset of the run lock with the same pins, so an
# environment that has once held it keeps it: `make run` after `make test` takes nothing away.
$(STAMPS)/run: requirements.lock pyproject.toml $(STAMPS)/uv-$(UV_VERSION)
	@if test -e $(STAMPS)/wants-dev; then lock=requirements-dev.lock; else lock=requirements.lock; fi; \
		echo "installing $$lock" >&2; \
		$(UV_ENV) $(UV) pip sync --quiet --require-hashes $$lock >&2
	@$(UV_ENV) $(UV) pip install --quiet --no-deps --no-build-isolation -e . >&2
	@$(COMPILE)
	@touch $@

$(STAMPS)/dev: requirements-dev.lock requirements.lock pyproject.toml $(STAMPS)/uv-$(UV_VERSION)
	@echo "installing requirements-dev.lock" >&2
	@touch $(STAMPS)/wants-dev
	@$(UV_ENV) $(UV) pip sync --quiet --require-hashes requirements-dev.lock >&2
	@$(UV_ENV) $(UV) pip install --quiet --no-deps --no-build-isolation -e . >&2
	@$(COMPILE)
	@touch $(STAMPS)/run && touch $@

$(BENCH_VENV)/.stamp: requirements-bench.lock $(STAMPS)/uv-$(UV_VERSION)
	@echo "installing requirements-bench.lock into $(BENCH_VENV)" >&2
	@"$(PYTHON)" -m venv --clear $(BENCH_VENV) >&2
	@$(UV_ENV) VIRTUAL_ENV="$(CURDIR)/$(BENCH_VENV)" $(UV) pip sync --quiet --require-hashes requirements-bench.lock >&2
	@touch $@

setup: $(STAMPS)/run ## create .venv and install requirements.lock (nothing to do when it stands)
	@:

setup-dev: $(STAMPS)/dev ## the same with requirements-dev.lock
	@:

# --- use -----------------------------------------------------------------------------------------------------------

run: setup ## set up, then run the whole system (flags: ARGS="…")
	@exec env $(RUN_ENV) $(BIN)/python -m actors.cli up $(ARGS)

test: setup-dev ## the whole suite but what is marked soak
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

soak: setup-dev ## the long runs, at full length
	@$(BIN)/python -m pytest -m soak $(ARGS)

check: setup-dev ## the fast gate: format, lint, types, import contracts, unit, property, architecture
	@$(BIN)/ruff format --check --quiet . || { echo "error: unformatted files (see above or run: make fmt)" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary $(PACKAGES)
	@$(BIN)/lint-imports --no-cache
	@MEXCBOT_TEST_PROFILE=quick $(BIN)/python -m pytest -q $(PARALLEL) tests/unit tests/property tests/architecture $(ARGS)

bench: setup-dev $(BENCH_VENV)/.stamp ## measure; appends to bench/results.csv
	@$(RUN_ENV) $(BIN)/python -m bench $(ARGS)

# --- care ----------------------------------------------------------------------------------------------------------

fmt: setup-dev ## format, and fix what can be fixed by itself
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

# The dev set is resolved first and the run set under its pins, so that tests run on exactly what users run on.
lock: $(STAMPS)/uv-$(UV_VERSION) ## resolve the lock files anew (LOCK_ARGS=--upgrade for newer versions)
	@$(UV_ENV) $(UV) pip compile --quiet pyproject.toml --group build --group dev $(LOCK_FLAGS) $(LOCK_ARGS) -o requirements-dev.lock
	@$(UV_ENV) $(UV) pip compile --quiet pyproject.toml --group build -c requirements-dev.lock $(LOCK_FLAGS) $(LOCK_ARGS) -o requirements.lock
	@$(UV_ENV) $(UV) pip compile --quiet --group bench $(LOCK_FLAGS) $(LOCK_ARGS) -o requirements-bench.lock

clean: ## remove environments and caches (never data: .mexcbot stays)
	@rm -rf $(VENV) $(BENCH_VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
