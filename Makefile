# Every target that needs the environment runs `setup` first, which does nothing when nothing changed.
.PHONY: setup demo test test-cuda lint format docs bench clean ci constraints

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

setup: $(STAMP)

# Bytecode is compiled once, here: some systems tell Python to keep none, and every start would take seconds longer.
# opencv-python needs the system's libGL; a machine without a screen gets the build that does not.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[landmarks,synth,tensorboard,dev]'
	$(BIN)/python -c 'import cv2' 2>/dev/null || { $(BIN)/uv pip uninstall --quiet --python $(BIN)/python opencv-python && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python "opencv-python-headless$$(sed -n 's/^opencv-python//p' constraints.txt)"; }
	touch $@

demo: setup
	$(BIN)/mer demo

# Two processes with a thread each: two thirds of the time of one process with two threads, measured on two cores. Each
# takes half of the tests in their order, so that what a file shares is made once, and then of what the other has left.
# Bytecode is kept, whatever the system tells Python: every process of a test would compile the package again.
test: setup
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -q -m 'not cuda' -n 2 --dist worksteal

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

# Writes constraints.txt anew from the newest releases that fit pyproject.toml.
constraints: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
		--all-extras --upgrade pyproject.toml --output-file constraints.txt

clean:
	rm -rf .venv build dist *.egg-info demo .pytest_cache .mypy_cache .ruff_cache

ci: lint docs test
