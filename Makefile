# Everything runs in .venv, which any target makes first: Python 3.11 or newer, nothing else.
PYTHON ?= python3
BIN := .venv/bin

# three workers for two cores; each runs whole files, those that take longest first (tests/conftest.py)
# and keeps compiled modules, for the tests start hundreds of processes
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: setup demo test test-fast test-all bench docs lint licences jscheck lock wheel

setup:
	@$(PYTHON) tools/setup.py

demo: setup
	@$(BIN)/imil demo

# FLAGS are pytest's; IMIL_SHENZHEN names the folder of the real films
test: setup
	@$(PYTEST) -m "not slow" $(FLAGS)

# for the inner loop: no process starts, no browser, no whole training, no report of a study
test-fast: setup
	@$(PYTEST) -m "not slow and not process and not browser and not training and not figures" $(FLAGS)

# the slow ones too, as CI does
test-all: setup
	@$(PYTEST) $(FLAGS)

# the benchmarks, small; FLAGS=--full for large ones
bench: setup
	@for one in starting choosing scale decoding pause limit training_step paper_table reading_room faults; do \
		$(BIN)/python benchmarks/$$one.py $(FLAGS) || exit 1; done

# the documentation site, in site/html; a warning is an error
docs: setup
	@$(BIN)/python tools/docs_site.py

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/python tools/advisories.py
	@$(BIN)/python tools/licences.py --quiet

# the licence of each installed package, and the extras that need it; refuses the GPL and AGPL
licences: setup
	@$(BIN)/python tools/licences.py

# the types in the web page's JSDoc; needs npm
jscheck:
	@tools/jscheck/run

# the wheel in dist/, with a list of what it is tested with beside it (CycloneDX)
wheel: setup
	@$(BIN)/python -m hatchling build -t wheel -d dist
	@$(BIN)/python tools/sbom.py dist

# newest versions that the ranges in pyproject.toml admit
lock:
	@$(PYTHON) tools/lock.py
