# `make demo` shows what bodyplan does, `make test` checks it. Both set up a local environment first.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3 python
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder \
  --durations=10 --jaxtyping-packages=bodyplan.robots,bodyplan.grouping,bodyplan.rendering,bodyplan.envs,bodyplan.evaluation,runtime_types.checked
unexport PYTHONDONTWRITEBYTECODE # tests start many processes, which would each compile all modules
ARGS ?=
STEPS ?= 1000000
SETS := expert-forward expert-backward expert_replay-forward expert_replay-backward \
  suboptimal70-forward suboptimal70-backward suboptimal30-forward

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all browser docs datasets clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## Train one policy on four robots' logs and report (ARGS="--size full")
	@$(BIN)/bodyplan demo $(ARGS)

test: $(VENV)/.dev ## Check style, types and behaviour
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.dev ## Check behaviour with the slow tests too
	$(PYTEST)

browser: $(VENV)/.browser ## Look at every page in Chromium, which must be installed
	$(BIN)/pytest -q tests/browser

docs: $(VENV)/.docs ## Build the documentation into site/; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "site/index.html"

datasets: $(VENV)/.runtime ## Build and verify the paper's sets of every robot in data/ (STEPS=1000000 a robot)
	@for set in $(SETS); do \
	  $(BIN)/bodyplan data build --recipe $${set%-*} --command $${set#*-} --steps $(STEPS) \
	    --out data/$$set || exit; \
	done
	@$(BIN)/bodyplan data verify $(SETS:%=data/%)

clean: ## Remove the environment and the caches, but no runs and no data
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist site
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are renewed when pyproject.toml changes or the environment is made anew.
$(VENV)/.runtime: pyproject.toml $(BIN)/python
	@echo "Installing bodyplan into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.docs: pyproject.toml $(BIN)/python
	@echo "Installing bodyplan and its documentation tools into $(VENV) ..."
	@$(PIP) --editable '.[docs]'
	@touch $(VENV)/.runtime $@

$(VENV)/.dev: pyproject.toml $(BIN)/python
	@echo "Installing bodyplan and its development tools into $(VENV) ..."
	@$(PIP) --no-compile --editable '.[dev]'
	@$(BIN)/python -W ignore -m compileall -q -j 0 $(VENV)/lib || true # pip would use one core
	@touch $(VENV)/.runtime $(VENV)/.docs $@

$(VENV)/.browser: pyproject.toml $(VENV)/.dev
	@echo "Installing the tools that look at pages into $(VENV) ..."
	@$(PIP) --editable '.[browser]'
	@touch $(VENV)/.runtime $(VENV)/.docs $(VENV)/.dev $@

$(BIN)/python:
	@for python in $(PYTHONS); do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	    >/dev/null 2>&1; then \
	    echo "Making $(VENV) with $$python ..."; \
	    exec $$python -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo "bodyplan needs Python 3.11 or newer with its venv module, and found none of: $(PYTHONS)." >&2; \
	echo "Install it (Debian, Ubuntu: apt install python3.11-venv) or name it: make PYTHON=/path/to/python3.11" >&2; \
	exit 1
