# Every target that needs the environment runs `setup` first, which does nothing when nothing changed.
.PHONY: setup demo test test-slow test-cuda campaign lint format docs bench weights wheel clean ci constraints

PYTHON ?= python3
SEED ?= 1
BIN := .venv/bin
COMMA := ,

# Some systems tell Python to keep no bytecode, and then every start takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE

# opencv-python needs the system's libGL; a machine without a screen gets the build that does not.
define install
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable $(1)
	$(BIN)/python -c 'import cv2' 2>/dev/null || { \
		$(BIN)/uv pip uninstall --quiet --python $(BIN)/python opencv-python opencv-python-headless && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python "opencv-python-headless$$(sed -n 's/^opencv-python//p' constraints.txt)"; }
	touch $@
endef

setup: .venv/for-tests

.venv/for-demo: pyproject.toml constraints.txt
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }
	$(call install,'.[landmarks]')

.venv/for-tests: .venv/for-demo
	$(call install,'.[landmarks$(COMMA)export$(COMMA)video$(COMMA)tensorboard$(COMMA)ray$(COMMA)slurm$(COMMA)dev]' --compile-bytecode)

demo: .venv/for-demo
	$(BIN)/mer demo --seed $(SEED)

# Two processes with a thread each: two thirds of the time of one process with two threads, measured on two cores. Each
# takes half of the tests in their order, so that what a file shares is made once, and then of what the other has left.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -m 'not cuda and not slow and not campaign' -n 2 --dist worksteal
	@echo "Left out: the slow tests (make test-slow; make ci runs them) and those that need a GPU (make test-cuda)."

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -m slow -n 2 --dist worksteal

# 2,000 damaged inputs of each kind; 200 of each are among the slow tests. The figures are in docs/reliability.md.
campaign: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -s -m campaign tests/fuzz

test-cuda: setup
	$(BIN)/pytest -q -m cuda

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: setup
	$(BIN)/pytest -q tests/test_docs.py

bench: setup
	$(BIN)/mer bench

# The wheel, in dist/. `twine check --strict dist/*` looks at it as a package index does.
wheel: setup
	rm -rf build dist && $(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist

# Draws the faces that the models which come with mer are trained on, and trains them: mer_cli/inference/weights.
weights: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m mer_cli.inference.shipped build/weights

# Writes constraints.txt anew from the newest releases that fit pyproject.toml.
constraints: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
		--all-extras --upgrade pyproject.toml --output-file constraints.txt

clean:
	rm -rf .venv build dist *.egg-info demo .pytest_cache .mypy_cache .ruff_cache

ci: lint docs test test-slow
