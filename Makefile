# One door to the project's chores: make setup, make check. All of it runs in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup test lint format check docs clean
help:   ## list the targets
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | expand -t 10

setup:  ## make .venv from pyproject.toml and constraints.txt
	$(PYTHON) -m venv .venv && $(BIN)/pip install -q -c constraints.txt -e '.[test]'

test:   ## run the tests (T=tests/tasks narrows them)
	$(BIN)/pytest $(T)

lint:   ## ruff, its formatting, and mypy
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: ## let ruff mend and format
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs:   ## the documents that code writes, then the site, in build/site
	$(BIN)/python -c "import mkdocs" 2>/dev/null || $(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	$(BIN)/python -m docs.writing
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

check:  ## what has to pass before anything lands, in a fresh environment
	bash .ci/run

clean:  ## delete caches of tools; never runs or data
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
