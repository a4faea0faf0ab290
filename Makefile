# Tasks of the project; `make help` lists them. Each sets up what it needs in .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help run test test-partial bench lint format proto clean

help: ## list the tasks
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "authz needs Python 3.11 or newer: set PYTHON")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[native,otlp,postgres,redis]" --group dev
	@touch $@

run: $(STAMP) ## serve on loopback with the embedded store and the sample
	$(BIN)/python tools/run_sample.py

# Property tests run this many examples each; CI asks for more.
test: export AUTHZ_PROPERTY_EXAMPLES ?= 300
test: $(STAMP) ## run all tests
	$(BIN)/pytest -n auto --dist loadgroup

# With so few bytes hardly any row stays in memory: every answer comes from rows read on demand.
test-partial: export AUTHZ_PROPERTY_EXAMPLES ?= 100
test-partial: $(STAMP) ## run the tests of answers over stores that do not fit into memory
	AUTHZ_TEST_INDEX_BUDGET=32000 $(BIN)/pytest -n auto --dist loadgroup -q \
		tests/conformance tests/commands tests/access/authorization \
		tests/properties/test_commands.py tests/properties/test_authzen.py

bench: $(STAMP) ## measure a small world against a real server, about a minute
	$(BIN)/python -m benchmarks run --quick

lint: $(STAMP) ## check style, types, layers and generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/proto.py --check

format: $(STAMP) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(STAMP) ## generate authz/_proto from proto/
	$(BIN)/python tools/proto.py

clean: ## remove what the tasks made
	rm -rf .venv .run .benchmarks .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
