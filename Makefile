# make demo: train and compare on real digits, no download; MODEL=vim for a Vision Mamba as the teacher.
# make test: lint, tests, docs.
# make links: links of the docs to other sites; needs a network, so it is no part of make test.
PYTHON ?= python3
MODEL ?= vit
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
# One more than the cores: a test that waits for a process of its own leaves one idle.
TESTERS ?= $(shell expr $$(nproc) + 1)

.PHONY: install demo test lint check docs links

install: $(READY)

$(READY): setup.cfg requirements/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c requirements/constraints.txt -e ".[lite,tests,lint,docs]"
	touch $@

demo: $(READY)
	$(BIN)/python demo/digits.py --model $(MODEL)

test: lint check docs

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/interrogate --quiet hetkd/functional hetkd/models
	$(BIN)/hadolint docker/Dockerfile

check: $(READY)
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder

docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs/en docs/_build/html

links: $(READY)
	$(BIN)/python -m sphinx -q -b linkcheck docs/en docs/_build/links
