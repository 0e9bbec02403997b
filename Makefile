# Two commands are enough for a newcomer: `make quickstart` and `make test`.
# Each target makes the virtual environment when it is absent. The targets from `types` on are for who changes
# the code; CONTRIBUTING.md says when.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One process; --quiet: our message and no traceback of the launcher; the others keep it from warning.
TRAIN := $(BIN)/accelerate launch --quiet --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no run_train.py
READY := $(VENV)/.ready
GATES := $(VENV)/.gates
OLDEST := .venv-oldest
RECIPE ?= quickstart
ARGS ?=
MODEL ?= outputs/quickstart
# Of tests: one more than cores, since many tests wait for the processes that they start.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() + 1))')
INPUTS ?= 25000
SEED ?= 0

.PHONY: quickstart test lint fuzz train demo types sizes coverage mutation audit lock test-oldest dist clean space

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

quickstart: $(READY)
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

train: $(READY)
	$(TRAIN) $(RECIPE) $(ARGS)

demo: $(READY)
	HYBRIDSENT_MODEL=$(MODEL) $(BIN)/python space/app.py

# The page is pushed as a folder, so it has copies of what it shares with the package; a test holds them equal.
space:
	cp datasets_scripts/intake/*.py space/datasets_scripts/intake/
	cp modeling_hybridsent/answers_hybridsent.py modeling_hybridsent/inputs_hybridsent.py space/modeling_hybridsent/

types: $(READY)
	$(BIN)/python -m mypy

sizes: $(READY)
	$(BIN)/python -m quality.sizes

coverage: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile tests/modeling_hybridsent \
		--cov=modeling_hybridsent --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=95

$(GATES): $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[dev,gates]"
	touch $@

mutation: $(GATES)
	OMP_NUM_THREADS=1 $(BIN)/python -m quality.mutation

audit: $(GATES)
	$(BIN)/pip-audit --strict --requirement ci.lock --disable-pip

lock: $(READY)
	$(BIN)/python -m pip install --quiet --dry-run --ignore-installed --report $(VENV)/report.json ".[dev]"
	$(BIN)/python -m quality.lock $(VENV)/report.json > ci.lock

# An environment with exactly the floors of pyproject.toml, thrown away before each run.
test-oldest:
	rm -rf $(OLDEST)
	$(PYTHON) -m venv $(OLDEST)
	$(PYTHON) -m quality.oldest_versions > $(OLDEST)/oldest.txt
	$(OLDEST)/bin/python -m pip install --quiet --editable ".[dev]" --constraint $(OLDEST)/oldest.txt
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --ignore-glob='*/test_export*.py'

dist: $(GATES)
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m quality.installed dist

clean:
	rm -rf $(VENV) $(OLDEST) dist mutants outputs
