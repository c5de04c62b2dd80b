# Everything runs in a virtual environment inside this folder.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
UV_VERSION := 0.13.9
UV := .venv-uv-$(UV_VERSION)/bin/uv
ARGS ?=

# The tests start the command many hundred times: each start would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install serve check check-lowest check-newest test test-all coverage lint format bench chaos docs site lock clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.dev ## Create the environment for development in .venv

serve: $(VENV)/.run ## Start a server at http://127.0.0.1:8787 (flags: make serve ARGS=--help)
	@$(BIN)/workertown-kv serve $(ARGS)

# A file stays in one process, so that no engine is started twice for it.
PYTEST = $(BIN)/python -m pytest --dist loadfile -n
# Tests wait for the servers and engines that they start. Meanwhile another test can run.
MORE_THAN_CORES = $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
STARTS_NOTHING := -m "not program and not process and not network and not deep"
# In these folders, each test starts something: to collect them would only take time.
START_SOMETHING := $(addprefix --ignore=tests/,cli clients examples failover workerd)

check: $(VENV)/.dev ## Run the tests that start no process and need no network (a minute)
	@# Without Schemathesis, which takes long to import.
	HYPOTHESIS_PROFILE=few $(PYTEST) $(MORE_THAN_CORES) $(STARTS_NOTHING) $(START_SOMETHING) -p no:schemathesis --ignore=tests/endpoints/test_open_api.py $(ARGS)

check-lowest: $(UV) ## Run `make check` with the lowest versions that pyproject.toml permits
	$(call CHECK_WITH,.venv-lowest,lowest-direct,-W default)

check-newest: $(UV) ## Run `make check` with the newest versions that pyproject.toml permits
	$(call CHECK_WITH,.venv-newest,highest,$(SHOW_DEPRECATIONS))

# Users may get other versions than the pinned ones. The tools of the tests keep their pins.
# A deprecation warning of another version breaks nothing yet, so these runs only show it.
SHOW_DEPRECATIONS := -W default::DeprecationWarning -W default::PendingDeprecationWarning
define CHECK_WITH
$(UV) venv --quiet --seed --clear --python $(PYTHON) $(1)
$(UV) pip install --quiet --python $(1) --require-hashes -r requirements/dev.txt
$(UV) pip install --python $(1) --upgrade --resolution $(2) --all-extras -r pyproject.toml
$(UV) pip install --quiet --python $(1) --no-deps --no-build-isolation --editable .
$(1)/bin/python -m pytest -n $(MORE_THAN_CORES) --dist loadfile $(3) $(STARTS_NOTHING) $(ARGS)
endef

test: $(VENV)/.dev ## Run the tests (only some: make test ARGS="-k sqlite")
	$(PYTEST) $(MORE_THAN_CORES) -m "not deep" $(ARGS)

test-all: $(VENV)/.dev ## Run all tests, with more generated cases
	HYPOTHESIS_PROFILE=all $(PYTEST) $(MORE_THAN_CORES) $(ARGS)

coverage: $(VENV)/.dev ## Run the tests and show the lines that they do not reach
	$(PYTEST) auto -m "not deep" --cov --cov-report=term $(ARGS)

lint: $(VENV)/.dev ## Check format, style, types and imports
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > $(VENV)/imports.log || (cat $(VENV)/imports.log; exit 1)

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

bench: $(VENV)/.dev ## Compare the server with others, in at most 15 minutes (only some: make bench ARGS="get put")
	$(BIN)/python -m bench $(ARGS)

chaos: $(VENV)/.dev ## Kill servers while clients write and watch (make chaos ARGS="redis --seconds 120")
	PYTHONPATH=tests $(BIN)/python -m chaos $(ARGS)

docs: $(VENV)/.dev ## Write the pages that are made from the code
	$(BIN)/python -m docs.generate

site: .venv-site/.site ## Build the docs site in .site/html
	.venv-site/bin/python -m docs.site

$(UV):
	$(PYTHON) -m venv $(@D)/..
	$(@D)/python -m pip --quiet --disable-pip-version-check install uv==$(UV_VERSION)

# Extras stay in the names: pip takes a pin of `a` for none of `a[b]` where a newer `a` is out.
PIN := uv pip compile -q --universal --python-version 3.11 --upgrade --generate-hashes \
	--no-header --no-annotate --no-strip-extras \
	--extra aws-lambda --extra dynamodb --extra jwt --extra mysql --extra opentelemetry --extra postgres \
	--extra py-key-value --extra rate-limit --extra redis --extra sentry --extra zstd \
	--group build pyproject.toml

lock: ## Pin the newest versions in requirements/, with hashes (needs uv)
	$(PIN) -o requirements/run.txt
	$(PIN) --group test --group lint --group bench -o requirements/dev.txt
	uv pip compile -q --universal --python-version 3.11 --upgrade --generate-hashes \
		--no-header --no-annotate --group site -o requirements/site.txt

clean: ## Remove the environments and all generated files
	rm -rf .venv* .bench .site build dist .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: requirements/run.txt pyproject.toml src/workertown_kv/package_version.py
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

.venv-site/.site: requirements/site.txt
	$(PYTHON) -m venv .venv-site
	.venv-site/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements/site.txt
	@touch $@
