# Everything sets itself up: `make demo`, `make test`, `make check`.
PYTHON ?= python3
BIN := .venv/bin
# peers that are measured and never depended on, in an environment of their own
PEERS := .venv-peers/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check format docs bench

help:
	@echo "make demo    set up, run the study lukasik2020 on the embedded data, and say where its page is"
	@echo "make test    set up and run all tests"
	@echo "make check   format, lint, types, tests: what CI runs"
	@echo "make format  put the code in order"
	@echo "make docs    make the pages of docs/methods from the docstrings"
	@echo "make bench   measure time and memory against the peers, in some 25 minutes on a quiet machine"
	@echo "make install set up alone"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lab,dev]'
	touch $(STAMP)

demo: install
	$(BIN)/softtargets run lukasik2020 --scale desk

# a worker for every core: with more threads than one each, they wait for one another
test: export OMP_NUM_THREADS = 1
test: export MKL_NUM_THREADS = 1
test: install
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(MAKE) test

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install
	$(BIN)/python docs/generate.py

bench: install
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.where
	$(BIN)/python -m benchmarks.calibration
	test -x $(PEERS)/python || $(PYTHON) -m venv .venv-peers
	$(PEERS)/python -m pip install --quiet --disable-pip-version-check 'cleanlab==2.9.0'
	$(BIN)/python -m benchmarks.noise --cleanlab $(PEERS)/python
