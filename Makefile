# Each target makes .venv on its first run, installs what it needs there, and runs. Nothing else on the system changes.
#
#   make demo    train two networks on 7,000 bundled images, with pictures, in under two minutes
#   make test    the test suite (installs torch, which tests compare with)
#   make lint    ruff, mypy, import-linter
#   make bench   times of small operations and of whole steps beside torch's, into benchmarks/, README and docs
#   make bench-ops   every kind of operation from 10 to 10^7 elements beside torch's, into benchmarks/ops.json; 15 minutes
#   make docs    check the pages and build them, with an API reference, into build/docs
#   make clean   remove .venv and everything generated
#
# Another interpreter: make PYTHON=python3.12 demo. More for a program: make demo ARGS="--epochs 3".

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMPS := $(VENV)/.stamps

# The oracle of the tests; its numbers are what ours are compared with, so the version is exact.
TORCH := torch==2.13.0

.PHONY: demo test lint format bench bench-ops docs clean

demo: $(STAMPS)/demo
	$(BIN)/python examples/demo.py $(ARGS)

test: $(STAMPS)/test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(ARGS)

lint: $(STAMPS)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMPS)/lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMPS)/test
	$(BIN)/python -m compileall -q rushlight
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/eager.py --out benchmarks/results.json
	$(BIN)/python benchmarks/steps.py --out benchmarks/steps.json $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/parts.py --out benchmarks/parts.json
	$(BIN)/python benchmarks/table.py

bench-ops: $(STAMPS)/test
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/ops.py --out benchmarks/ops.json $(ARGS)

docs: $(STAMPS)/docs
	$(BIN)/python scripts/build_docs.py build/docs

clean:
	rm -rf $(VENV) build runs *.egg-info .mypy_cache .ruff_cache .pytest_cache

# A stamp is made once everything before it worked, so an interrupted install starts over.
$(STAMPS)/base: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "rushlight needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV): rushlight and what it stands on"
	@$(PIP) --editable .
	@$(BIN)/python -m compileall -q rushlight
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(STAMPS)/base
	@echo "Installing into $(VENV): plots"
	@$(PIP) --editable '.[plots]'
	@touch $@

$(STAMPS)/test: $(STAMPS)/base
	@echo "Installing into $(VENV): test tools, and $(TORCH) to compare with"
	@$(PIP) $(TORCH)
	@$(PIP) --editable '.[test]'
	@touch $@

$(STAMPS)/lint: $(STAMPS)/base
	@echo "Installing into $(VENV): ruff, mypy, import-linter"
	@$(PIP) --editable '.[dev]'
	@touch $@

$(STAMPS)/docs: $(STAMPS)/base
	@echo "Installing into $(VENV): documentation tools"
	@$(PIP) --editable '.[docs]'
	@touch $@
