# `make train` and `make test` do everything from a bare checkout: they find a Python >= 3.11, build .venv, install, run.
# A second call skips what is done; a changed setup.cfg installs again.
#
#   make train ARGS="--epochs 3"        pass flags on to `minighost train`
#   make test  PYTHON=/path/to/python   choose the Python yourself

VENV := .venv
PY   := $(VENV)/bin/python
ARGS ?=

# The first command here that runs and is Python >= 3.11 builds the virtual environment.
PYTHON ?= python3.13 python3.12 python3.11 python3 python

# Before VENV is removed: with VENV=~ it would be the home directory.
CHECK_VENV = [ ! -e "$(VENV)" ] || [ -e "$(VENV)/pyvenv.cfg" ] || \
  { echo "make: $(VENV) is not a virtual environment (it has no pyvenv.cfg) and is not removed; use VENV=another" >&2; exit 1; }

.PHONY: help train test test-fast test-long test-nojit test-boundscheck browser parity onnx cluster mpi benchmarks coverage docs notebooks dist release-check lint clean

help:
	@echo "make train             train a small GhostNet on the built-in images (ARGS=... is passed on)"
	@echo "make test              every test of the default suite, then the small ones in plain Python"
	@echo "make test-fast         the default suite only (ARGS=... is passed to pytest)"
	@echo "make test-long         gradients of whole networks, whether each of them learns, and all tutorials"
	@echo "make test-nojit        the small tests with every kernel in plain Python"
	@echo "make test-boundscheck  the small tests with array bounds checked in compiled kernels"
	@echo "make browser           the stepper's pages in a headless browser, which must be installed (installs Playwright)"
	@echo "make parity            compare with PyTorch (installs it)"
	@echo "make onnx              exports of every network, run by ONNX Runtime (installs it)"
	@echo "make cluster           a sweep on a local Dask cluster (installs Dask)"
	@echo "make mpi               training on two processes that mpirun starts (installs mpi4py and MPICH)"
	@echo "make benchmarks        time minighost against its peers (installs them; ARGS=... is passed on)"
	@echo "make coverage          line coverage, kernels included"
	@echo "make docs              the documentation as a site in build/docs (installs Sphinx)"
	@echo "make notebooks         the tutorials as Jupyter notebooks in build/notebooks"
	@echo "make dist              the wheel and the source archive in dist/"
	@echo "make release-check     both, installed into clean environments and used there (PYTHONS=... for more than one Python)"
	@echo "make lint              ruff, its formatter and mypy"
	@echo "make clean             remove .venv and all caches (runs/ stays)"

train: $(VENV)/installed
	$(PY) -m minighost train $(ARGS)

test: test-fast test-nojit

# One process per core, each with one thread: twice as fast as one process whose kernels take turns with Python.
test-fast: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n auto --dist worksteal $(ARGS)

test-long: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n auto --dist worksteal -m long

test-nojit: $(VENV)/installed-test
	HYPOTHESIS_PROFILE=quick NUMBA_DISABLE_JIT=1 $(PY) -m pytest -q -n auto --dist worksteal -m small

# A kernel compiled with bounds checks must not come from, or go into, the ordinary cache; few optimisations compile fast.
# One process: here every kernel runs on all threads. Registers of 16 bytes: what a processor without AVX has.
test-boundscheck: $(VENV)/installed-test
	HYPOTHESIS_PROFILE=quick NUMBA_BOUNDSCHECK=1 NUMBA_OPT=1 MINIGHOST_VECTOR_BYTES=16 NUMBA_CACHE_DIR=$(CURDIR)/.numba-boundscheck \
	  $(PY) -m pytest -q -m small

browser: $(VENV)/installed-browser
	$(PY) -m pytest -q -m browser $(ARGS)

parity: $(VENV)/installed-parity
	$(PY) -m pytest -q -m parity

onnx: $(VENV)/installed-onnx
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n auto --dist worksteal -m onnx $(ARGS)

cluster: $(VENV)/installed-dask
	$(PY) -m pytest -q -m cluster $(ARGS)

# An MPI for mpi4py: one that is here already would do as well, but need not be the one that mpi4py finds first.
mpi: $(VENV)/installed-mpi
	$(PY) -m pip install --disable-pip-version-check --quiet mpich
	$(PY) -m pytest -q -m mpi $(ARGS)

benchmarks: $(VENV)/installed-versus
	$(PY) -m versus $(ARGS)

# Compiled kernels are invisible to coverage, so the small tests run once more as plain Python.
coverage: $(VENV)/installed-test
	$(PY) -m pytest -q --cov=minighost --cov-report=
	NUMBA_DISABLE_JIT=1 $(PY) -m pytest -q -m small --cov=minighost --cov-append --cov-report=term-missing:skip-covered

# A warning is an error: a link that leads nowhere, a page that no other leads to, a docstring that cannot be read, a tutorial that fails.
docs: $(VENV)/installed-docs
	$(PY) -m sphinx -q -W --keep-going -c docs -b html $(ARGS) . build/docs
	@echo "wrote build/docs/index.html"

# One way only: the scripts are the source, and what is changed in a notebook is lost at the next call.
notebooks: $(VENV)/installed-notebooks
	@mkdir -p build/notebooks
	@for script in tutorials/[0-9]*.py; do \
	  $(PY) -m jupytext --quiet --from py:percent --to ipynb --output build/notebooks/$$(basename $$script .py).ipynb $$script \
	  || exit 1; \
	done
	@echo "wrote $$(ls build/notebooks/*.ipynb | wc -l) notebooks to build/notebooks"

dist: $(VENV)/installed-release
	rm -rf dist build
	$(PY) -m build --outdir dist .

# The oldest and the newest dependencies; the first Python is the one that gets the oldest.
release-check: dist
	$(PY) .ci/release_check.py dist $(if $(PYTHONS),--python $(PYTHONS))

lint: $(VENV)/installed-test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

clean:
	@$(CHECK_VENV)
	rm -rf "$(VENV)" .pytest_cache .hypothesis .mypy_cache .ruff_cache .numba-boundscheck .coverage htmlcov build dist *.egg-info
	find minighost tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is younger than the metadata it was installed from, so a second `make` goes straight to work.
$(VENV)/installed: setup.cfg pyproject.toml | $(PY)
	$(PY) -m pip install --disable-pip-version-check --quiet -e .
	@touch $@

$(VENV)/installed-%: setup.cfg pyproject.toml | $(PY)
	$(PY) -m pip install --disable-pip-version-check --quiet -e ".[test,$*]"
	@touch $@ $(VENV)/installed

# Whoever writes notebooks needs none of the tests' tools.
$(VENV)/installed-notebooks: setup.cfg pyproject.toml | $(PY)
	$(PY) -m pip install --disable-pip-version-check --quiet -e ".[notebooks]"
	@touch $@ $(VENV)/installed

$(PY):
	@for python in $(PYTHON); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  found=yes; \
	  "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || continue; \
	  echo "$$("$$python" --version): building $(VENV) and installing minighost into it (once, a minute or two)"; \
	  { $(CHECK_VENV); } && rm -rf "$(VENV)" && exec "$$python" -m venv "$(VENV)"; \
	  exit 1; \
	done; \
	if [ -n "$$found" ]; then \
	  echo "make: this Python has no venv module: install it (Debian, Ubuntu: apt install python3-venv)" >&2; \
	else \
	  echo "make: minighost needs Python >= 3.11; none of these is one: $(PYTHON). Install it, or say where it is: make PYTHON=/path/to/python" >&2; \
	fi; exit 1
