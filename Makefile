# Everything runs in .venv, which any target makes first: Python 3.11 or newer, nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test bench lint jscheck lock

setup:
	@$(PYTHON) tools/setup.py

demo: setup
	@$(BIN)/imil demo

test: setup
	@$(BIN)/python -m pytest

# the benchmarks, small; FLAGS=--full for large ones
bench: setup
	@for one in starting choosing decoding pause limit training_step paper_table reading_room; do \
		$(BIN)/python benchmarks/$$one.py $(FLAGS) || exit 1; done

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

# the types in the web page's JSDoc; needs npm
jscheck:
	@tools/jscheck/run

# newest versions that the ranges in pyproject.toml admit
lock:
	@$(PYTHON) tools/lock.py
