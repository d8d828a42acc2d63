# `make` lists the targets. The environment is .venv. PYTHON sets the interpreter that creates it.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# $(call compile,FOLDER) locks for every platform. FOLDER is the path from the current folder to this one.
compile = $(1)/$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-emit-package flask-ops $(UPGRADE)

# The programs that targets use beside Python, as program:package of Debian. Only `make programs` installs any.
PROMETHEUS := prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager
PROGRAMS := $(PROMETHEUS)
# $(call require,LIST) names each missing program of the list, and fails if there is one.
require = missing=; for each in $(1); do command -v "$${each%%:*}" >/dev/null || { missing=1; \
	echo "$${each%%:*} is missing. Install it: make programs (Debian package $${each\#*:})" >&2; }; done; [ -z "$$missing" ]

.DEFAULT_GOAL := help
.PHONY: help install install-dev run dev test test-service programs drill monitor lint format manifests name lock lock-service upgrade clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed  ## Create .venv with the locked, hash-checked dependencies

install-dev: .venv/installed-dev  ## Create .venv with pytest, linters and the type checker as well

run: install  ## Serve with Gunicorn, in the foreground
	@exec $(BIN)/gunicorn

dev: install  ## Serve with reloader and debugger, on loopback only, with readable logs
	@SERVICE_ENV=development exec $(BIN)/python -m service

test: lint test-service  ## Check lint, types and tests

test-service: .venv/installed-dev  ## Run the tests of the service, in tests/
	$(BIN)/python -m pytest

programs:  ## Install the programs that other targets use, with apt-get, as root
	@packages=$$(for each in $(PROGRAMS); do command -v "$${each%%:*}" >/dev/null || echo "$${each#*:}"; done); \
	[ -z "$$packages" ] || { command -v apt-get >/dev/null || { echo "No apt-get here. Install by hand:" $$packages >&2; exit 1; }; \
	apt-get update --quiet=2 && apt-get install --yes --quiet=2 --no-install-recommends $$packages; }

drill: .venv/installed-dev  ## Inject faults, and check that the right alerts arrive (15 minutes)
	@$(call require,$(PROMETHEUS))
	@$(BIN)/python -m observability.drill

monitor: .venv/installed-dev  ## Serve, with Prometheus and Alertmanager from this machine, until Ctrl-C
	@$(call require,$(PROMETHEUS))
	@exec $(BIN)/python -m observability.monitor

lint: .venv/installed-dev  ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed-dev  ## Format the code, and fix it with the linter
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

manifests:  ## Copy the rules and dashboards of observability/ into deploy/kubernetes
	@$(PYTHON) deploy/kubernetes/manifests.py

# NAME counts only on the command line, because some environments set a variable NAME, for example WSL.
name:  ## Rename the service everywhere: make name NAME=orders
	@$(PYTHON) template/name.py $(if $(filter command,$(origin NAME)),"$$NAME")

lock: lock-service  ## Update the locks after a change in pyproject.toml; all other versions stay
lock-service: $(BIN)/uv
	$(call compile,.) --output-file requirements.txt
	$(call compile,.) --group dev --constraints requirements.txt --output-file requirements-dev.txt

upgrade: UPGRADE := --upgrade
upgrade: lock  ## Update the locks to the newest versions

clean:  ## Remove .venv, dist and the caches of the tools
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv .venv

# The files that are included below may add locks to the prerequisites.
.venv/installed: requirements.txt | $(BIN)/python
	$(PIP) install --require-hashes $(addprefix --requirement ,$^)
	@touch $@

# The dev lock has every pin of the other lock, so both fit into one environment.
.venv/installed-dev: requirements-dev.txt .venv/installed
	$(PIP) install --require-hashes --requirement requirements-dev.txt
	@touch $@

# Install uv alone. It makes the locks, so it must work even if the locks cannot be installed.
$(BIN)/uv: | $(BIN)/python
	awk '/^[^ #]/ { uv = /^uv==/ } uv' requirements-dev.txt | $(PIP) install --require-hashes --requirement /dev/stdin

# Removable parts of this repository have their own targets.
include $(sort $(wildcard */*.mk))
