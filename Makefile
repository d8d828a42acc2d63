# `make` lists the targets. The environment is .venv; PYTHON chooses the interpreter it is made with.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# $(call compile,FOLDER) locks for every platform; FOLDER leads from the current one to this one.
compile = $(1)/$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-emit-package flask-ops $(UPGRADE)

install_package = { [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	{ apt-get update --quiet=2 && apt-get install --yes --quiet=2 --no-install-recommends $(1); }; }

.DEFAULT_GOAL := help
.PHONY: help install install-dev run dev test programs drill monitor lint format manifests name lock lock-service upgrade clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed  ## Create .venv with the locked, hash-checked dependencies

install-dev: .venv/installed-dev  ## Create .venv with pytest, linters and type checker too

run: install  ## Serve with Gunicorn, in the foreground
	@exec $(BIN)/gunicorn

dev: install  ## Serve with reloader and debugger, on loopback only, with readable logs
	@SERVICE_ENV=development exec $(BIN)/python -m service

test: .venv/installed-dev lint  ## Check everything: lint, types, tests
	$(BIN)/python -m pytest

programs:
	@$(foreach program,$(PROGRAMS),command -v $(word 1,$(subst :, ,$(program))) >/dev/null || \
		$(call install_package,$(word 2,$(subst :, ,$(program)))) ;)

drill monitor: PROGRAMS := prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager
drill: .venv/installed-dev programs  ## Inject faults, and see that the right alerts arrive (11 minutes)
	@$(BIN)/python -m observability.drill

monitor: .venv/installed-dev programs  ## Serve, with Prometheus and Alertmanager from this machine, until Ctrl-C
	@exec $(BIN)/python -m observability.monitor

lint: .venv/installed-dev  ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed-dev  ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

manifests:  ## Take rules and dashboards of observability/ over into deploy/kubernetes
	@$(PYTHON) deploy/kubernetes/manifests.py

# Only from the command line: some environments have a variable NAME, WSL for example.
name:  ## Rename the service everywhere: make name NAME=orders
	@$(PYTHON) template/name.py $(if $(filter command,$(origin NAME)),"$$NAME")

lock: lock-service  ## Take what is new in pyproject.toml into the locks; all other versions stay
lock-service: $(BIN)/uv
	$(call compile,.) --output-file requirements.txt
	$(call compile,.) --group dev --constraints requirements.txt --output-file requirements-dev.txt

upgrade: UPGRADE := --upgrade
upgrade: lock  ## Take the newest versions into the locks

clean:  ## Remove .venv and what the tools left behind
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv .venv

# The parts below may add locks to the prerequisites.
.venv/installed: requirements.txt | $(BIN)/python
	$(PIP) install --require-hashes $(addprefix --requirement ,$^)
	@touch $@

# The dev lock holds every pin of the other one, so both may be installed into one environment.
.venv/installed-dev: requirements-dev.txt .venv/installed
	$(PIP) install --require-hashes --requirement requirements-dev.txt
	@touch $@

# uv alone: it makes the locks, so it must not depend on whether they can be installed.
$(BIN)/uv: | $(BIN)/python
	awk '/^[^ #]/ { uv = /^uv==/ } uv' requirements-dev.txt | $(PIP) install --require-hashes --requirement /dev/stdin

# The parts of this repository that can be removed bring their own targets.
include $(sort $(wildcard */*.mk))
