# make demo    renders examples/ and says where the page is
# make test    everything CI runs
# make check   style, types and the layout of the house, in seconds
# make bench   the figures of the README, against the peers
# make drill   faults and storms, long
# make test-far servers in containers of a Docker engine that it starts, with an image that it makes
# make coverage  the unit tests under coverage, with a floor for every file
# make matrix    unit tests and some real ones in other Pythons, with other ipykernels
# make recipes   builds the recipes of docs/how-to in environments of their own
# make changelog writes docs/changelog.md from changelog.d/
# make demo-temp  a page on http://127.0.0.1:8000/ that gives every visitor a JupyterLab with examples/
# make demo-pyvista   the three-dimensional example that needs PyVista (900 MB)

PY = .venv/bin/python
# Compiled files are kept: without them every process compiles moorage, and every pytest all tests, anew.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL = help
.PHONY: help demo demo-temp demo-pyvista test test-far check style house imported types types-darwin types-win32 coverage matrix recipes changelog bench drill clean

help:
	@sed -n 's/^# //p' Makefile

demo:
	@sh scripts/setup.sh demo
	@$(PY) -m moorage render examples -o rendered --to ipynb,html --report rendered/report.html
	@echo
	@echo "The report:  file://$(CURDIR)/rendered/report.html"
	@echo "The pages:   file://$(CURDIR)/rendered/index.html"
	@echo "The command: $(CURDIR)/.venv/bin/moorage render FOLDER, or \`. .venv/bin/activate\` and then moorage"
	@echo "For others:  make demo-temp gives every visitor of a page a JupyterLab with these examples"

demo-temp:
	@sh scripts/setup.sh demo
	@sh scripts/setup.sh temp
	@$(PY) -m moorage temp --content examples --title "moorage's examples"

demo-pyvista:
	@sh scripts/setup.sh pyvista
	@$(PY) -m moorage render examples-pyvista -o rendered-pyvista --to ipynb,html --report rendered-pyvista/report.html
	@echo "The report:  file://$(CURDIR)/rendered-pyvista/report.html"

check: style house

style:
	@sh scripts/setup.sh test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j3) types types-darwin types-win32

house: style
	$(PY) -m pytest -q tests/house

## Imports all tests once, so that what pytest makes of them is on disk before several processes need it.
imported: style
	@told=$$($(PY) -m pytest -q --collect-only 2>&1) || { printf '%s\n' "$$told" | tail -n 60; exit 1; }

types:
	$(PY) -m mypy

## What other systems would see: half a second of processor time with a cache, 13 s without one.
types-darwin types-win32: types-%:
	$(PY) -m mypy --platform $* --no-warn-unreachable --cache-dir .mypy_cache/$* src

## Real tests wait more than they compute: four at a time keep two processors busy; of the others some do.
test:
	@$(MAKE) --no-print-directory -j2 house imported
	$(PY) -m pytest -q -n 3 --dist worksteal -m "not real and not slow and not far" --ignore tests/house
	$(PY) -m pytest -q -n 4 --dist worksteal -m "(real or slow) and not drill and not recipe" --durations=10 \
		$$(grep -rlE "mark\.(real|slow)" tests --include="test_*.py")

## A minute and a half for the image, then some seconds for each test. What is not installed is told.
test-far:
	@sh scripts/setup.sh test
	$(PY) -m pytest -q -m far --durations=5

## Tests' own processes alone are measured: coverage's start-up code in kernels would make interpreters no templates.
coverage:
	@sh scripts/setup.sh test
	rm -rf .coverage.d
	$(PY) -m pytest -q -n 2 -m "not real and not slow and not far" --ignore tests/house --cov --cov-report=
	$(PY) scripts/coverage_floors.py

matrix:
	@sh scripts/setup.sh test
	sh scripts/matrix.sh

recipes:
	@sh scripts/setup.sh test
	$(PY) -m pytest -q -m recipe --durations=0

changelog:
	@sh scripts/setup.sh test
	$(PY) scripts/changelog.py

bench:
	@sh scripts/setup.sh bench
	$(PY) -m bench

drill:
	@sh scripts/setup.sh bench
	$(PY) -m pytest -q -m "drill and not recipe"
	$(PY) -m bench.drill

clean:
	rm -rf .venv .venv-matrix .coverage.d rendered rendered-pyvista .moorage .mypy_cache .ruff_cache .pytest_cache .hypothesis
