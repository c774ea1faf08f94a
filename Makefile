# Every target sets up what it needs. `make demo` and `make test` work on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := tests/integration/node

.PHONY: demo test soak fuzz lint types check bench conformance clean

demo: $(VENV)/.installed
	@exec $(BIN)/tidegate demo

test: $(VENV)/.tests $(NODE)/node_modules
	$(BIN)/python -m pytest -n auto

soak: $(VENV)/.tests
	SOAK=3000 $(BIN)/python -m pytest tests/integration/test_jitter.py

# FUZZ_SECONDS for each of the four targets, 60 where nothing is said. What fails is kept in tests/corpus/found.
fuzz: $(VENV)/.tests
	$(BIN)/python -m pytest -m fuzz tests/fuzz

lint: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tests
	$(BIN)/mypy

check: lint types test

bench: $(VENV)/.tests
	$(BIN)/python -m benchmarks.fanout
	$(BIN)/python -m benchmarks.proxy
	$(BIN)/python -m benchmarks.hello
	$(BIN)/python -m benchmarks.reconnect
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.echo
	$(BIN)/python -m benchmarks.poll
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.subscribe

# Every case of Autobahn's fuzzing client; some ten minutes.
conformance: $(VENV)/.tests
	$(BIN)/python tests/conformance/autobahn.py docs/conformance.md

clean:
	rm -rf $(VENV) $(NODE)/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.tests: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group test --group browser --group backends --group lint
	@touch $@

# Without npm, or without a network for it, the tests that need these say that they are skipped.
$(NODE)/node_modules: $(NODE)/package-lock.json
	@if command -v npm >/dev/null; then npm ci --silent --ignore-scripts --prefix $(NODE) && touch $@; \
	else echo "npm is absent: tests with Node.js clients are skipped"; fi || echo "npm ci failed in $(NODE)"
