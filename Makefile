# Two commands for a newcomer, `make demo` and `make test`; the rest is for developers.

PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check -q install -c constraints.txt
SOURCES = setup.py constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-all install lint wheel clean

help:  ## Lists these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(VENV)/.base  ## The main job from end to end, on generated data
	$(VENV)/bin/python scripts/demo.py

test: $(VENV)/.test  ## The tests, without the long ones
	$(VENV)/bin/python -m pytest -m "not slow"

test-all: $(VENV)/.test  ## All tests
	$(VENV)/bin/python -m pytest

install: $(VENV)/.dev  ## The developer's environment: every extra

lint: $(VENV)/.dev  ## Style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	# From another folder: mypy is to see the installed packages, not the folders.
	cd docs && ../$(VENV)/bin/mypy --config-file ../pyproject.toml -p smelu_tf

wheel: $(VENV)/.test  ## The distribution, in dist/
	$(VENV)/bin/python -m pip --disable-pip-version-check wheel -q --no-deps -w dist .

clean:  ## Removes the environment and what the demo and the builds have made
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# Each level adds to the one before, so that `make test` after `make demo` installs
# only what is missing.
$(VENV)/.base: $(SOURCES)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or \
	  sys.exit("expected Python 3.11 to 3.13, received %d.%d; set PYTHON=…" % v)'
	@echo "Installing TensorFlow and smelu-tf into $(VENV) (some minutes) …"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.base
	@echo "Installing what the tests need …"
	@$(PIP) -e '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo "Installing every extra …"
	@$(PIP) -e '.[dev]'
	@touch $@
