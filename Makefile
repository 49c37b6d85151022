# Two commands: `make demo` and `make test`. Both install what they need into $(VENV).
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test check audit bench screenshots clean
.DELETE_ON_ERROR:

$(VENV)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,bench]'
	touch $@

# A real browser, the files of its runtime and axe-core: the tests of pages fail without them.
$(VENV)/.browser: $(VENV)/.test dashboards/browsers/runtime.py tests/axe.py
	$(BIN)/nas browser-agent install
	$(BIN)/python tests/axe.py
	@which chromium chromium-browser google-chrome google-chrome-stable 2>/dev/null | grep -q . || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update --quiet && \
	    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends chromium; } || \
	  { echo "the tests need a browser: install chromium (as root: apt-get install chromium) and run make again" >&2; \
	    exit 1; }
	touch $@

demo: $(VENV)/.demo
	mkdir -p out
	$(BIN)/nas run examples/digits.yaml --store sqlite:///out/nas.db
	$(BIN)/nas pareto latest --store sqlite:///out/nas.db --plot out/front.png
	$(BIN)/nas export latest --store sqlite:///out/nas.db --output out/digits.onnx --force

test: $(VENV)/.test $(VENV)/.browser
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# The pictures of the README, taken by the tests of pages.
screenshots: $(VENV)/.test $(VENV)/.browser
	$(BIN)/python -m pytest tests/dashboards/test_running_job.py tests/dashboards/test_other_pages.py
	$(BIN)/python tests/screenshots.py

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Known vulnerabilities of all that is installed, asked of api.osv.dev. --strict, because pip-audit otherwise passes over
# what it cannot ask about: beside a mirror of PyPI that serves files alone it would find nothing wrong with anything.
audit: $(VENV)/.test
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet pip-audit
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' > $(VENV)/installed.txt
	$(VENV)/audit/bin/pip-audit --strict --vulnerability-service osv --no-deps --disable-pip --requirement $(VENV)/installed.txt

bench: $(VENV)/.bench $(VENV)/.browser
	mkdir -p out
	$(BIN)/python benchmarks/graph_speed.py --json out/graph_speed.json
	$(BIN)/python benchmarks/population_speed.py --json out/population_speed.json
	$(BIN)/python benchmarks/search_speed.py --json out/search_speed.json
	$(BIN)/python benchmarks/profiling.py --json out/profiling.json
	$(BIN)/python benchmarks/browser_profiling.py --chromium "$$(which chromium chromium-browser google-chrome | head -n 1)" \
	  --json out/browser_profiling.json
	$(BIN)/python benchmarks/gradient_memory.py --json out/gradient_memory.json
	$(BIN)/python benchmarks/supernet_speed.py --json out/supernet_speed.json
	$(BIN)/python benchmarks/service.py --postgres --json out/service.json
	$(BIN)/python benchmarks/dashboards.py --json out/dashboards.json

clean:
	rm -rf $(VENV) out
