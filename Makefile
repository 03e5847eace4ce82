# make demo    denoise the recording that ships, measure it and draw it
# make test    everything that must hold: lint, types, tests
# make format  put the code into its standard form

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test format clean

demo: $(VENV)/runtime.stamp
	$(BIN)/python scripts/demo.py

test: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist demo-out *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "rtdenoise needs Python 3.11 or newer; run make PYTHON=python3.11 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh scripts/setup-debian.sh run
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -e '.[plot]'
	@touch $@

$(VENV)/test.stamp: pyproject.toml scripts/setup-debian.sh | $(BIN)/python
	sh scripts/setup-debian.sh test
	$(BIN)/python -m pip install -q -e '.[train,eval,plot,dev]'
	@touch $@
