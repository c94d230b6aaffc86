# make demo    install into .venv and interpolate two clips with the bundled model
# make try     PRESET=drums-2bar [FROM=local-copy]: its corpus, a minute of training, its figures, a path
# make test    lint, types and the whole test suite
PYTHON ?= python3
BIN := .venv/bin

PRESET ?= melody-2bar-tiny

.PHONY: demo try test lint bench clean

demo: .venv/.installed
	$(BIN)/seqvae interpolate examples/a.mid examples/b.mid --steps 8 -o out/demo --force

try: .venv/.installed
	$(BIN)/python data_scripts/try_preset.py $(PRESET) $(if $(FROM),--from $(FROM))

test: lint
	$(BIN)/python -m pytest

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.installed-test
	$(BIN)/python -m benchmarks.run

clean:
	rm -rf .venv build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; run: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

.venv/.installed-test: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	touch $@ .venv/.installed
