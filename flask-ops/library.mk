# Targets of the library and of this repository's own tests. `make detach` removes them together with flask-ops/.

OPS := flask-ops
OPS_BIN := ../$(BIN)

# What the tests use beside Python, as program:package of Debian. Where `make` may not install it, the
# tests that need it are skipped, and say so; under CI=true they fail.
PROGRAMS := promtool:prometheus amtool:prometheus-alertmanager haproxy:haproxy nginx:nginx-light apache2:apache2 \
	slowhttptest:slowhttptest openssl:openssl chromium:chromium docker-compose:docker-compose dockerd:docker.io \
	docker:docker.io ip:iproute2 iptables:iptables kubectl:kubernetes-client systemd-analyze:systemd wrk:wrk

.PHONY: test-library test-long test-newer wheel

test: test-library
lint: lint-library

test-library: .venv/installed-library programs lint
	cd $(OPS) && $(OPS_BIN)/coverage erase
	cd $(OPS) && $(OPS_BIN)/coverage run -m pytest --numprocesses=3 --dist=loadfile
	cd $(OPS) && $(OPS_BIN)/coverage combine --quiet
	cd $(OPS) && $(OPS_BIN)/coverage report

lint-library: .venv/installed-library
	cd $(OPS) && $(OPS_BIN)/mypy

test-long: .venv/installed-library programs  ## Check at full size what `make test` checks at reduced size (20 minutes)
	cd $(OPS) && RECYCLED=2000 SCANNED_URLS=100000 SCANNED_METHODS=1000 FORKS=300 ROUNDS=10 STALLED_SECONDS=60 \
		FUZZ_EXAMPLES=5000 $(OPS_BIN)/python -m pytest -rP --timeout=3600 \
		-k "recycled_workers or scanner or children_forked or one_after_the_other or reload_and_scaling \
			or stalls or never_close or wait_for_a_check or no_value_stops_it or valid"

# What of observability/ another Prometheus, Alertmanager or Grafana may see otherwise.
NEWER := .newer
test-newer: PROGRAMS := npm:npm
test-newer: .venv/installed-library programs $(NEWER)/usr/bin/prometheus  ## Check observability/ with Prometheus 3 from Debian unstable, and Grafana's types (4 minutes)
	cd $(OPS) && PATH="$(CURDIR)/$(NEWER)/usr/bin:$$PATH" CI=true $(OPS_BIN)/python -m pytest \
		$(addprefix tests/repository/observability/,\
		test_rules.py test_rules_changed.py test_dashboard_values.py test_alertmanager.py test_queries.py test_monitor.py test_drill.py grafana_types.py)

$(NEWER)/usr/bin/prometheus:
	$(OPS)/tests/repository/observability/newer.sh $(NEWER)

wheel: .venv/installed-library  ## Build the library's wheel and sdist into dist/
	$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist $(OPS)

lock: lock-library
lock-library: .venv/installed-library
	cd $(OPS) && $(subst pyproject.toml,--group build,$(call compile,..)) --constraints requirements-dev.txt --output-file requirements-build.txt
	cd $(OPS) && $(call compile,..) --extra gunicorn --extra waitress --extra uwsgi --group dev \
		--constraints ../requirements.txt --output-file requirements-dev.txt

# Holds the library's build backend and every pin of the other locks, so all may be installed into one environment.
.venv/installed-library: flask-ops/requirements-dev.txt .venv/installed-dev
	$(PIP) install --require-hashes --requirement $<
	@touch $@
