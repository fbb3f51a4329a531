# make app | test | test-all | trust | bench | lab | notebooks | docs | check. Each makes .venv with the pinned packages it needs, then runs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal --durations=10

.PHONY: app test test-all trust bench lab notebooks docs check clean

app: .venv/app
	$(BIN)/python app/main.py

test: .venv/test
	$(PYTEST) -m "not slow"

test-all: .venv/test
	$(PYTEST)

trust: .venv/test
	REAUGKD_TRUST=1 $(PYTEST) --ignore tests/trust/test_load.py tests/trust
	REAUGKD_TRUST=1 $(BIN)/python -m pytest tests/trust/test_load.py

bench: .venv/test
	$(BIN)/python tests/benchmarks/bench.py $(BENCH)

lab: .venv/lab
	$(BIN)/jupyter lab notebooks

notebooks: .venv/test
	$(BIN)/python docs/run_notebooks.py

docs: .venv/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs --doctree-dir docs/_build/doctrees . docs/_build/html
	@echo "The site is docs/_build/html/index.html"

check: .venv/check
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/oxlint app/static

.venv/pip:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed")'
	$(PYTHON) -m venv .venv
	touch $@

# torch first and alone: a torch of the pinned version that is there already is kept, and none other comes.
.venv/app .venv/lab .venv/docs .venv/test .venv/check: .venv/%: .venv/pip pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) -e ".[$(EXTRAS)]"
	touch $@

.venv/app: EXTRAS := app
.venv/lab: EXTRAS := app,lab
.venv/docs: EXTRAS := docs
.venv/test: EXTRAS := app,onnx,milvus,lab,study,docs,test
.venv/check: EXTRAS := app,onnx,milvus,lab,study,docs,test,check

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache docs/_build
