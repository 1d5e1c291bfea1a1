# make demo    depth of the pictures in assets/examples with the built-in checkpoint, into out/
# make test    everything that must hold: lint, types, import contracts, tests
# make check   lint, types and import contracts only
# make clean   remove what the others made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check clean

demo: $(VENV)/installed
	$(BIN)/depth-anything predict assets/examples --output out --checkpoint builtin --side-by-side --overwrite

test: check
	$(BIN)/python -m pytest

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { echo "installing Chromium for the test of the web page"; apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
	  echo "the test of the web page needs Chromium: sudo apt-get install chromium"; }
	touch $@
