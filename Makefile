# `make` alone lists the commands. Every target does all the set-up it needs.
.DEFAULT_GOAL := help
.PHONY: help run test test-all lint fix bench shot reset setup setup-dev lock

# The first Python that is new enough; PYTHON=… names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PY := .venv/bin/python
# What was compiled once stays compiled, whatever the machine's image says: empty means allowed.
export PYTHONDONTWRITEBYTECODE :=
# The tests of one file stay together: some are one story, some share a city. Many wait, so one process more than cores.
SPREAD = -n $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() + 1))') --dist loadfile

help:  ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup  ## set up what is missing and run the main job (Ctrl-C stops it)
	@$(PY) -m app run

test: setup-dev  ## run the tests (under 20 minutes on 2 cores)
	@$(PY) -m pytest -q $(SPREAD)

test-all: setup-dev  ## run the long tests too
	@$(PY) -m pytest -q $(SPREAD) --hypothesis-profile search -m "long or not long"

lint: setup-dev  ## formatting, lint, types, import contracts
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-logo

fix: setup-dev  ## mend what the formatter and the linter can mend
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: setup-dev  ## measure the figures of docs/BENCHMARKS.md
	@$(PY) -m app bench all

shot: setup-dev  ## take the pictures of docs/screens
	@$(PY) -m app shot

reset: setup  ## stop everything of this checkout and delete its data (var/)
	@$(PY) -m app reset

setup:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed" >&2; exit 2; }
	@$(PYTHON) deploy/setup.py run

setup-dev:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed" >&2; exit 2; }
	@$(PYTHON) deploy/setup.py dev

lock: setup  ## pin the newest allowed versions anew (needs a package index)
	@for set in run dev uv node; do .tools/uv/bin/uv pip compile requirements/$$set.in -o requirements/$$set.txt \
		--upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --quiet || exit 1; done
	@for folder in dashboard/web tests/timescale; do \
		(cd $$folder && npm install --package-lock-only --ignore-scripts --no-audit --no-fund) || exit 1; done
