# The targets of the library and of this repository's own tests. `make detach` removes this file with its folder.

OPS := flask-ops
OPS_BIN := ../$(BIN)
DIST ?= dist

# The programs that `make test-all` needs.
PROGRAMS += promtool:prometheus amtool:prometheus-alertmanager haproxy:haproxy nginx:nginx-light apache2:apache2 \
	slowhttptest:slowhttptest openssl:openssl chromium:chromium docker-compose:docker-compose dockerd:docker.io \
	docker:docker.io ip:iproute2 iptables:iptables kubectl:kubernetes-client systemd-analyze:systemd wrk:wrk

.PHONY: test-library test-all test-pythons coverage lint-library test-long test-newer dashboards screenshot rules rules-compared wheel detach lock-library clean-library

test: test-library
lint: lint-library
lock: lock-library
clean: clean-library

# Three files of tests at a time, in the order of conftest.py: real processes mostly wait.
PYTEST := -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder

test-library: .venv/installed-library lint
	cd $(OPS) && $(OPS_BIN)/python $(PYTEST) -m "not system" --timeout=30

test-all: .venv/installed-library  ## Check the library with real servers, proxies, Prometheus, containers (14 minutes)
	@$(call require,$(PROGRAMS))
	cd $(OPS) && $(OPS_BIN)/python $(PYTEST) -m system
	@$(MAKE) test-pythons

test-pythons: flask-ops/requirements-dev.txt $(BIN)/python  ## Run the quick tests of the library with each other Python from 3.11 up
	@for minor in 11 12 13 14 15; do \
		python=python3.$$minor; $$python -c '' 2>/dev/null || continue; \
		$(BIN)/python -c "import sys; sys.exit(sys.version_info[1] == $$minor)" || continue; \
		echo "Python 3.$$minor:"; $(OPS)/tests/other_python.sh $$python .venv-pythons/3.$$minor || exit 1; \
	done

# An absolute path: processes that tests start in other folders write their data there too.
coverage: export COVERAGE_FILE := $(CURDIR)/$(OPS)/.coverage
coverage: .venv/installed-library  ## Run all tests of the library and measure their coverage (30 minutes)
	@$(call require,$(PROGRAMS))
	cd $(OPS) && $(OPS_BIN)/coverage erase
	cd $(OPS) && $(OPS_BIN)/coverage run $(PYTEST)
	cd $(OPS) && $(OPS_BIN)/coverage combine --quiet
	cd $(OPS) && $(OPS_BIN)/coverage report

lint-library: .venv/installed-library
	cd $(OPS) && $(OPS_BIN)/mypy
	cd $(OPS) && $(OPS_BIN)/lint-imports --no-cache

test-long: .venv/installed-library  ## Check at full size what `make test-all` checks at reduced size (20 minutes)
	@$(call require,$(PROGRAMS))
	cd $(OPS) && RECYCLED=2000 SCANNED_URLS=100000 SCANNED_METHODS=1000 FORKS=300 ROUNDS=10 STALLED_SECONDS=60 \
		FUZZ_EXAMPLES=5000 $(OPS_BIN)/python -m pytest -rP --timeout=3600 \
		-k "recycled_workers or scanner or children_forked or one_after_the_other or reload_and_scaling \
			or stalls or never_close or wait_for_a_check or no_value_stops_it or valid"

# What of observability/ another Prometheus, Alertmanager or Grafana may see otherwise.
NEWER := .newer
test-newer: .venv/installed-library $(NEWER)/usr/bin/prometheus  ## Check observability/ with Prometheus 3 from Debian unstable, and Grafana's types (4 minutes)
	@$(call require,npm:npm)
	cd $(OPS) && PATH="$(CURDIR)/$(NEWER)/usr/bin:$$PATH" $(OPS_BIN)/python -m pytest \
		$(addprefix tests/observability/,\
		test_rules.py test_rules_changed.py test_dashboard_values.py test_queries.py grafana_types.py) \
		$(addprefix tests/repository/observability/,test_prometheus.py test_alertmanager.py test_monitor.py test_drill.py)

$(NEWER)/usr/bin/prometheus:
	$(OPS)/tests/observability/newer.sh $(NEWER)

dashboards: .venv/installed-library  ## Build the dashboards from flask-ops/dashboards/, and copy them with `rules` and `manifests`
	@cd $(OPS) && $(OPS_BIN)/python -m dashboards
	@$(MAKE) --no-print-directory rules manifests

screenshot: .venv/installed-library  ## Make docs/images/status.png from the status page again, with Chromium
	@$(call require,chromium:chromium)
	cd $(OPS) && SCREENSHOT=$(CURDIR)/docs/images/status.png $(OPS_BIN)/python -m pytest -k picture tests/management/test_page.py

rules: .venv/installed-library  ## Copy the rules, dashboard and runbook of the library to observability/, over what is there
	@cd $(OPS) && $(COPIED)

rules-compared: .venv/installed-library
	@cd $(OPS) && $(COPIED) --compare

COPIED := PYTHONPATH=.. $(OPS_BIN)/python -m tests.repository.observability.copied

# The build backend itself: a front end would need more packages than `make run`, or a network.
define build
from sys import argv; from flit_core.buildapi import build_sdist, build_wheel; \
print("Built", build_sdist(argv[1]), "and", build_wheel(argv[1]))
endef

# A fixed date: the same sources give the same bytes, so the hash says whether it is the same library.
# The value is the earliest date that a zip archive can hold.
wheel: .venv/library  ## Build the library's wheel and sdist into dist/
	@mkdir -p $(DIST)
	@rm -f $(DIST)/flask_ops-*
	@cd $(OPS) && SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-315532800} $(OPS_BIN)/python -c '$(build)' '$(abspath $(DIST))'

detach: $(if $(URL),,wheel)  ## Keep the library as a wheel (or URL=) instead of its sources
	@$(PYTHON) template/detach.py $(if $(URL),--url '$(URL)' $(if $(HASH),--hash '$(HASH)'),--wheel $(DIST)/flask_ops-*.whl)

# A lock comes after the lock that constrains it.
lock-library: lock-service
	cd $(OPS) && $(call compile,..) --extra gunicorn --extra waitress --extra uwsgi --group dev \
		--constraints ../requirements-dev.txt --output-file requirements-dev.txt
	cd $(OPS) && $(subst pyproject.toml,--group build,$(call compile,..)) --constraints requirements-dev.txt --output-file requirements-build.txt

clean-library:
	rm -rf .newer .venv-pythons $(OPS)/.coverage* $(OPS)/.hypothesis $(OPS)/.mypy_cache $(OPS)/.pytest_cache $(OPS)/.ruff_cache

# Editable: what you change in its sources is what runs. Nothing of it comes from an index but the build backend.
.venv/installed: | .venv/library
.venv/library: flask-ops/requirements-build.txt | $(BIN)/python
	$(PIP) install --require-hashes --requirement $<
	$(PIP) install --no-deps --no-build-isolation --editable $(OPS)
	@touch $@

# Holds the library's build backend and every pin of the other locks, so all may be installed into one environment.
.venv/installed-library: flask-ops/requirements-dev.txt .venv/installed-dev
	$(PIP) install --require-hashes --requirement $<
	@touch $@
