# Every target creates .venv first if it does not exist.
PYTHON ?= python3
BIN := .venv/bin
# libraries that benchmarks compare with, in a separate environment because they are not dependencies
PEERS := .venv-peers/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
NATIVE := src/softtargets/_native
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -g -O1

.PHONY: help install native demo test check format docs bench

help:
	@echo "make install  create .venv with all dependencies"
	@echo "make native   compile the C kernels again after their sources changed"
	@echo "make demo     run the study lukasik2020 on scikit-learn's digits and print the path of its page"
	@echo "make test     run all tests"
	@echo "make check    run everything that CI runs: format, lint, types, tests"
	@echo "make format   format the code and fix lint errors"
	@echo "make docs     regenerate docs/methods from the docstrings"
	@echo "make bench    measure time and memory against other libraries (about 25 minutes on an idle machine)"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt hatch_build.py $(NATIVE)/build.py $(wildcard $(NATIVE)/kernels/*)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is required: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lab,dev]'
	touch $(STAMP)

native:
	$(PYTHON) $(NATIVE)/build.py

demo: install
	$(BIN)/softtargets run lukasik2020 --scale desk

# pytest-xdist starts one worker per core, so each worker uses one thread
test: export OMP_NUM_THREADS = 1
test: export MKL_NUM_THREADS = 1
test: install
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
	SOFTTARGETS_NATIVE=0 $(BIN)/python -m pytest -n auto -q tests/losses tests/metrics tests/native

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
	$(BIN)/python -m benchmarks.sweep
	$(BIN)/python -m benchmarks.jobs
	test -x $(PEERS)/python || $(PYTHON) -m venv .venv-peers
	$(PEERS)/python -m pip install --quiet --disable-pip-version-check 'cleanlab==2.9.0'
	$(BIN)/python -m benchmarks.noise --cleanlab $(PEERS)/python
