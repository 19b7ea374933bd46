# make demo, make test: all the set-up that they need happens on the way.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install demo test lint bench

help:
	@echo "make install   a virtual environment in $(VENV) with all requirements"
	@echo "make demo      renders a city, trains and tests on it (under 10 minutes on 2 cores)"
	@echo "make test      the tests (about 7 minutes on 2 cores)"
	@echo "make lint      the linter"
	@echo "make bench     the benchmarks on a CPU (under 10 minutes on 2 cores that do nothing else)"

install: $(VENV)/installed

# made again only when a list of requirements changes
$(VENV)/installed: requirements.txt requirements-dev.txt requirements-report.txt requirements-export.txt requirements-heif.txt requirements-demo.txt requirements-losses.txt requirements-rerank.txt requirements-timm.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed, and $(PYTHON) is %d.%d: try make PYTHON=python3.12" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $@

demo: $(VENV)/installed
	$(BIN)/python demo.py

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.groups --images 500000
	$(BIN)/python -m benchmarks.positives
	$(BIN)/python -m benchmarks.data_path
	$(BIN)/python -m benchmarks.augmentation
	$(BIN)/python -m benchmarks.train_step --steps 6
	$(BIN)/python -m benchmarks.extraction --images 64
	$(BIN)/python -m benchmarks.knn
	$(BIN)/python -m benchmarks.night --images 60 --repeats 2
