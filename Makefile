# Two commands for a newcomer, `make demo` and `make test`; the rest is for developers.

PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check -q
INSTALL = $(PIP) install -c constraints.txt -e

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-wheel test-lowest install lint docs installed wheel clean
# All targets share one environment, and pip does not lock it.
.NOTPARALLEL:

help:  ## Lists these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(VENV)/.base  ## The main job from end to end, on generated data
	$(VENV)/bin/python scripts/demo.py

test: $(VENV)/.test  ## The tests, without the long ones
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: $(VENV)/.test  ## All tests
	$(VENV)/bin/python -m pytest

install: $(VENV)/.dev  ## The developer's environment: every extra

lint: $(VENV)/.lint installed  ## Style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy -p smelu_tf

docs: $(VENV)/.docs installed  ## The pages, in build/site
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build -q

# Static tools cannot follow an editable install into folders of other names than the
# packages': they read the package as the wheel has it.
installed: $(VENV)/.base
	@rm -rf build
	$(PIP) install --no-deps --target build/installed .

# Each in an environment and a folder of its own, outside the tree.
test-wheel:  ## The tests against the installed wheel
	.ci/test_installed $(PYTHON)

test-lowest:  ## The tests with the oldest versions that are supported
	.ci/test_installed $(PYTHON) lowest-direct

wheel: $(VENV)/.release  ## The distribution, in dist/
	@rm -rf build  # setuptools would pack what an earlier build left there
	$(VENV)/bin/python -m build -o dist .

clean:  ## Removes the environment and what the demo and the builds have made
	rm -rf $(VENV) demo build dist *.egg-info .hypothesis .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.base: setup.py constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or \
	  sys.exit("expected Python 3.11 to 3.13, received %d.%d: make PYTHON=python3.12" % v)'
	@echo "Installing TensorFlow and smelu-tf into $(VENV) (a minute or two) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) .
	@touch $@

# A level is an extra of setup.py. It adds to the base, so that `make test` after
# `make demo` installs only what is missing.
$(VENV)/.test $(VENV)/.lint $(VENV)/.docs $(VENV)/.release $(VENV)/.dev: $(VENV)/.%: $(VENV)/.base
	@echo "Installing the extra [$*] into $(VENV) ..."
	@$(INSTALL) '.[$*]'
	@touch $@
