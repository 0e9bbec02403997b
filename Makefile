# Two commands are enough for a newcomer: `make quickstart` and `make test`.
# Each target makes the virtual environment when it is absent.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One process; the other options only keep accelerate from warning about its defaults.
TRAIN := $(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no run_train.py
READY := $(VENV)/.ready
RECIPE ?= configs/quickstart.yaml
ARGS ?=
MODEL ?= outputs/quickstart
INPUTS ?= 25000
SEED ?= 0

.PHONY: quickstart test lint fuzz train demo clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

quickstart: $(READY)
	$(TRAIN)
	@echo
	@echo "Try it in a browser:     make demo"
	@echo "Train on your own posts: make train RECIPE=configs/posts.yaml ARGS='--data_dir FOLDER'"
	@echo "                         (FOLDER holds train.csv, validation.csv, test.csv; see README.md)"

# Exports in a process of their own: twice, a process that had made them died without a word minutes later.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --ignore-glob='*/test_export*.py'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(shell find tests -name 'test_export*.py')

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The long run; make test has a short one. INPUTS is for each target, TARGETS are some of them.
fuzz: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m fuzzing $(TARGETS) --inputs $(INPUTS) --seed $(SEED)

train: $(READY)
	$(TRAIN) $(RECIPE) $(ARGS)

demo: $(READY)
	HYBRIDSENT_MODEL=$(MODEL) $(BIN)/python space/app.py

clean:
	rm -rf $(VENV) outputs
