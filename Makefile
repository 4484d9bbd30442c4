# Everything a developer runs. Needs make, Python 3.11 or newer with venv, and a package index;
# Node 18 or newer for the Node SDK suite, which is skipped without it.

.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check install
WORKERS ?= 2
UV_VERSION ?= 0.13.9
CODE := crds sidecar
CHECKED := $(CODE) $(wildcard tests e2e benchmarks examples)
NODE_TESTS := $(wildcard tests/node/*.test.mjs)
NODE_STAMP := tests/node/node_modules/.package-lock.json
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

say = @printf '%-8s %s\n' '$(1)' '$(2)'

.PHONY: help demo test lint types arrows crds-fresh unit test-node e2e format crds lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.runtime ## three tiers, fake providers, real decisions; ARGS=--forever goes on
	@$(BIN)/tiermesh demo $(ARGS)

test: lint types arrows crds-fresh unit ## everything that must pass before a change is merged
	@$(MAKE) --no-print-directory test-node
	$(call say,test,all passed)

lint: $(VENV)/.dev ## ruff: rules and format
	$(call say,lint,ruff)
	@$(BIN)/ruff check --quiet $(CHECKED)
	@$(BIN)/ruff format --check --quiet $(CHECKED)

types: $(VENV)/.dev ## mypy, strict
	$(call say,types,mypy --strict)
	@$(BIN)/mypy

arrows: $(VENV)/.dev ## who may import whom
	$(call say,arrows,import-linter)
	@report=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$report"; exit 1; }

crds-fresh: $(VENV)/.dev
	$(call say,crds,generated files are fresh)
	@$(PY) crds/generate.py --check

unit: $(VENV)/.dev ## pytest; TESTS=tests/core runs a part
	$(call say,unit,pytest)
	@$(BIN)/pytest -q -n $(WORKERS) $(TESTS)

test-node: $(VENV)/.runtime ## the Node SDKs against a running sidecar (skipped without Node 18)
	@if ! node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null || ! command -v npm >/dev/null; then \
		printf '%-8s skipped: needs Node 18 or newer and npm\n' node; \
	elif [ -z '$(NODE_TESTS)' ]; then \
		printf '%-8s skipped: no tests/node/*.test.mjs\n' node; \
	else $(MAKE) --no-print-directory .node-suite; fi

.PHONY: .node-suite
.node-suite: $(NODE_STAMP)
	$(call say,node,node --test)
	@cd tests/node && TIERMESH_BIN='$(abspath $(BIN))' node --test $(notdir $(NODE_TESTS))

$(NODE_STAMP): tests/node/package-lock.json tests/node/package.json
	$(call say,node,installing the locked SDKs)
	@cd tests/node && npm ci --silent --no-audit --no-fund
	@touch $@

e2e: $(VENV)/.dev ## against a real collector, browser and cluster (e2e/README.md)
	$(call say,e2e,pytest e2e)
	@$(BIN)/pytest -q e2e

format: $(VENV)/.dev ## format and fix what can be fixed
	@$(BIN)/ruff check --fix --quiet $(CHECKED) || true
	@$(BIN)/ruff format $(CHECKED)

crds: $(VENV)/.dev ## write the CRD files and the policy reference again
	@$(PY) crds/generate.py

lock: $(PY) ## resolve the lock files again; UPGRADE=1 takes newer versions
	$(call say,lock,resolving)
	@$(PIP) uv==$(UV_VERSION)
	@$(COMPILE) pyproject.toml -o requirements.lock
	@$(COMPILE) -c requirements.lock --extra dev pyproject.toml -o requirements-dev.lock
	@$(COMPILE) -c requirements-dev.lock --group pyproject.toml:build -o requirements-build.lock

clean: ## remove the environment, caches and build output
	rm -rf $(VENV) build dist tests/node/node_modules .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	find $(CHECKED) -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. A stamp is newer than the lock file that it was installed from.

$(PY):
	@python=''; for name in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
		if "$$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
		then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then \
		echo 'No Python 3.11 or newer with venv found$(if $(PYTHON), under PYTHON=$(PYTHON)).' >&2; \
		echo 'Install one (Debian: apt install python3 python3-venv), or name it:' >&2; \
		echo '  make $(or $(MAKECMDGOALS),test) PYTHON=/path/to/python3.12' >&2; exit 1; fi; \
	printf '%-8s %s\n' venv "$(VENV) with $$("$$python" -V)"; \
	"$$python" -m venv $(VENV)

$(VENV)/.runtime: requirements.lock requirements-build.lock pyproject.toml | $(PY)
	$(call say,install,runtime dependencies (locked, hashes checked))
	@$(PIP) --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(call say,install,development dependencies (locked, hashes checked))
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@
