# Two commands are enough for a newcomer: `make quickstart` and `make test`.
# Each target makes the virtual environment when it is absent, and installs what it runs. All but quickstart, test, train
# and demo are for contributors; CONTRIBUTING.md says when.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Of what setuptools says about an editable installation, nothing concerns a reader.
INSTALL := PYTHONWARNINGS='ignore:Editable installation' $(BIN)/python -m pip install --quiet --editable
# One process; --quiet: our message and no traceback of the launcher; the others keep it from warning.
TRAIN := $(BIN)/accelerate launch --quiet --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no run_train.py
QUICKSTART := $(VENV)/.quickstart
READY := $(VENV)/.dev
GATES := $(VENV)/.gates
OLDEST := .venv-oldest
RECIPE ?= quickstart
ARGS ?=
MODEL ?= bundled/mvsa-single
# Of tests: one more than cores, since many tests wait for the processes that they start.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() + 1))')
INPUTS ?= 25000
SEED ?= 0

.PHONY: quickstart test lint fuzz train demo types docs coverage mutation audit lock test-oldest dist clean

# The package with one extra of pyproject.toml; each target asks for those that it needs.
$(VENV)/.%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(INSTALL) ".[$*]"
	touch $@

quickstart: $(QUICKSTART)
	$(BIN)/python -m hybridsent.evaluation.first_posts --figure outputs/first_posts.png
	$(TRAIN)
	@echo
	@echo "Try it in a browser:     make demo"
	@echo "Train on your own posts: make train RECIPE=posts ARGS='--data_dir FOLDER'"
	@echo "                         (FOLDER holds train.csv, validation.csv, test.csv; see README.md)"

# Files of few and slow tests go first, so that no core waits for the last of them. Exports in processes of their
# own: twice, a process that had made them died without a word minutes later.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore-glob='*/test_export*.py' tests/test_*.py tests/*/
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist load $(shell find tests -name 'test_export*.py')

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The long run; make test has a short one. INPUTS is for each target, TARGETS are some of them.
fuzz: $(READY)
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzzing $(TARGETS) --inputs $(INPUTS) --seed $(SEED)

train: $(QUICKSTART)
	$(TRAIN) $(RECIPE) $(ARGS)

demo: $(QUICKSTART) $(VENV)/.space
	$(BIN)/hybridsent demo --model $(MODEL)

types: $(READY)
	$(BIN)/python -m mypy

# A site in site/. Fails at a broken link, and at a public name that is not documented.
docs: $(READY)
	$(BIN)/python -m pytest --quiet tests/test_api_page.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

coverage: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile tests/modeling_hybridsent \
		--cov=modeling_hybridsent --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=95

$(GATES): $(READY)
	$(INSTALL) ".[dev,gates]"
	touch $@

# Lists the changes that no test noticed; pyproject.toml says what is changed.
mutation: $(GATES)
	OMP_NUM_THREADS=1 $(BIN)/mutmut run 'datasets_scripts.published.labels.*' 'modeling_hybridsent.fusion_hybridsent.*DecisionFusion*'
	$(BIN)/mutmut results

audit: $(GATES)
	$(BIN)/pip-audit --strict --requirement ci.lock --disable-pip

lock: $(GATES)
	$(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --python-platform x86_64-manylinux_2_28 \
		--python-version 3.11 --extra dev --extra gates --output-file ci.lock --custom-compile-command "make lock" pyproject.toml

# An environment with exactly the floors of pyproject.toml, thrown away before each run.
test-oldest: $(GATES)
	$(BIN)/uv venv --quiet --clear --seed --python $(PYTHON) $(OLDEST)
	$(BIN)/uv pip install --quiet --python $(OLDEST) --resolution lowest-direct --editable ".[dev]"
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --ignore-glob='*/test_export*.py'

dist: $(GATES)
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python tests/installed_wheel.py dist

clean:
	rm -rf $(VENV) $(OLDEST) dist mutants
