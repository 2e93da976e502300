# Every target creates .venv first if it does not exist.
PYTHON ?= python3
BIN := .venv/bin
# libraries that benchmarks compare with, in a separate environment because they are not dependencies
PEERS := .venv-peers/bin
# heavy libraries that integrations adapt to; those that need torchvision have an environment of their own, because its
# wheel for CUDA does not import beside torch's for CPUs, and breaks libraries that only look whether it is installed
FRAMEWORKS := .venv-frameworks/bin
VISION := .venv-vision/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
NATIVE := src/softtargets/_native
# tests of code that can reach a kernel, which run a second time with torch operations instead
TWINS := $(addprefix tests/,losses metrics nn distill noise calibration test_laws.py test_misuse.py test_traps.py)
# tests and doctests that need the libraries of $(FRAMEWORKS)
OF_FRAMEWORKS := $(addprefix tests/integrations/test_integrations_,late.py lightning.py keras.py sentence_transformers.py) \
	tests/runs/test_runs_loggers.py tests/docs/test_docs_integrations.py src/softtargets/integrations
# AddressSanitizer and UndefinedBehaviorSanitizer, and the tests that run with them
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -g -O1
SANITIZED := $(addprefix tests/,native losses/test_losses_cross_entropy.py losses/test_losses_linear.py noise metrics)

.PHONY: help install native demo test test-integrations coverage sanitize check format docs docs-serve bench

help:
	@echo "make install  create .venv with all dependencies"
	@echo "make native   compile the C kernels again after their sources changed"
	@echo "make demo     run the study lukasik2020 on scikit-learn's digits and print the path of its page"
	@echo "make test     run all tests"
	@echo "make test-integrations run the integrations with the libraries themselves, in environments of their own (about 2 GB each)"
	@echo "make coverage run all tests and print the lines of the package that they do not reach"
	@echo "make sanitize run the kernels with checks of memory and undefined behaviour (GCC on Linux)"
	@echo "make check    run everything that CI runs: format, lint, types, tests"
	@echo "make format   format the code and fix lint errors"
	@echo "make docs     regenerate docs/methods and the README's coverage table, and build the site in build/site"
	@echo "make docs-serve show the site on 127.0.0.1:8000 while its pages change"
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
	SOFTTARGETS_NATIVE=0 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -q $(TWINS)

test-integrations: export OMP_NUM_THREADS = 1
test-integrations:
	test -x $(FRAMEWORKS)/python || $(PYTHON) -m venv .venv-frameworks
	$(FRAMEWORKS)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[lab,transformers,lightning,keras,sentence-transformers,wandb,tensorboard,mlflow,tune,plot]' pytest accelerate skorch
	KERAS_BACKEND=torch $(FRAMEWORKS)/python -m pytest -q $(OF_FRAMEWORKS)
	test -x $(VISION)/python || $(PYTHON) -m venv .venv-vision
	$(VISION)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[lab,vision,ultralytics]' pytest
	# over opencv-python, which needs libGL: the same without windows
	$(VISION)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps opencv-python-headless
	$(VISION)/python -m pytest -q $(addprefix tests/,integrations/test_integrations_timm.py integrations/test_integrations_ultralytics.py models/test_models_timm.py) \
		$(addprefix src/softtargets/integrations/,timm.py ultralytics.py)

# Both ways of computing are run, so lines of the twins and of the calls of kernels count.
coverage: export OMP_NUM_THREADS = 1
coverage: export MKL_NUM_THREADS = 1
coverage: install
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -q --cov=softtargets --cov-report=
	SOFTTARGETS_NATIVE=0 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -q \
		--cov=softtargets --cov-append --cov-report=term:skip-covered $(TWINS)

# A copy of the package is compiled and tested: a library with sanitizers ends a process that did not start with them.
# The sanitizers must be loaded first, and libstdc++ with them, whose exceptions they follow. They print to the standard
# error, which pytest must not capture, and end the process.
sanitize: export OMP_NUM_THREADS = 1
sanitize: export MKL_NUM_THREADS = 1
sanitize: export PYTHONPATH = $(CURDIR)/build/sanitize
sanitize: export CC = gcc
sanitize: export ASAN_OPTIONS = detect_leaks=0:abort_on_error=1
sanitize: export UBSAN_OPTIONS = print_stacktrace=1
sanitize: install
	rm -rf build/sanitize
	mkdir -p build/sanitize
	cp -R src/softtargets build/sanitize
	$(BIN)/python build/sanitize/softtargets/_native/build.py $(SANITIZERS)
	export LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" && \
	$(BIN)/python -c 'from softtargets._native import library; assert library.library(), library.status()' && \
	$(BIN)/python -m pytest -q -n auto --capture=sys -p no:cacheprovider $(SANITIZED)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(MAKE) test

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs docs-serve: export NO_MKDOCS_2_WARNING = 1
docs: install
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --quiet
	@echo "build/site/index.html"

docs-serve: install
	$(BIN)/mkdocs serve --dev-addr 127.0.0.1:8000

bench: install
	test -x $(PEERS)/python || $(PYTHON) -m venv .venv-peers
	$(PEERS)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		'cleanlab==2.9.0' 'lightning==2.6.6' safetensors
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt netcal
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.where
	$(BIN)/python -m benchmarks.calibration
	$(BIN)/python -m benchmarks.sweep --lightning $(PEERS)/python
	$(BIN)/python -m benchmarks.jobs
	$(BIN)/python -m benchmarks.noise --cleanlab $(PEERS)/python
