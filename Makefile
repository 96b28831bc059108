# The README's commands; everything is set up in .venv on first use.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

# CI asks for coverage too; it makes the tests slower by half.
ifdef CI
COVERAGE := --cov --cov-report=term:skip-covered --cov-fail-under=90
endif

.PHONY: demo test faults bench run check lint format types layers docs screenshots clean

demo: $(VENV)/ready
	$(BIN)/python -m tests.demo

test: $(VENV)/ready
	@.ci/packages
	$(BIN)/python -m pytest -n 2 $(COVERAGE)

faults: $(VENV)/ready
	@.ci/packages
	$(BIN)/python -m tests.faults --write

bench: $(VENV)/ready
	@.ci/packages
	$(BIN)/python -m bench --write --json build/bench.json

run: $(VENV)/ready
	$(BIN)/sci -c server.yml start

check: lint types layers

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

layers: $(VENV)/ready
	$(BIN)/python -m pytest -q tests/test_layers.py

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/ready
	$(BIN)/sphinx-build -W -b html docs docs/_build

screenshots: $(VENV)/ready
	@.ci/packages
	$(BIN)/python -m tests.page.screenshots

clean:
	rm -rf $(VENV) docs/_build build *.egg-info

$(VENV)/ready: setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sloth CI needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	@echo "Setting up $(VENV) (once; about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[tests]'
	@touch $@
