# `make` lists the targets. The environment is .venv; PYTHON chooses the interpreter it is made with.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header

# `make bench` compares in an environment of its own. Short: make bench ROUNDS=1 SECONDS=1 SUBJECTS=bare,service
BENCH := .venv-bench
BENCH_OPTIONS := $(if $(ROUNDS),--rounds=$(ROUNDS)) $(if $(SECONDS),--seconds=$(SECONDS)) \
	$(if $(SUBJECTS),--subjects=$(SUBJECTS)) $(if $(SERIES),--series=$(SERIES)) \
	$(if $(RECYCLED),--recycled=$(RECYCLED)) $(if $(OUTPUT),--output=$(OUTPUT))

# What tests use beside Python, as program:package of Debian. Where `make` may not install it, the
# tests that need it are skipped, and say so; under CI=true they fail.
PROGRAMS := promtool:prometheus amtool:prometheus-alertmanager haproxy:haproxy nginx:nginx-light apache2:apache2 \
	slowhttptest:slowhttptest openssl:openssl chromium:chromium docker-compose:docker-compose dockerd:docker.io \
	docker:docker.io ip:iproute2 iptables:iptables kubectl:kubernetes-client systemd-analyze:systemd wrk:wrk
install_package = { [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	{ apt-get update --quiet=2 && apt-get install --yes --quiet=2 --no-install-recommends $(1); }; }

.DEFAULT_GOAL := help
.PHONY: help install run dev test test-long test-newer bench bench-short programs drill monitor lint format manifests lock upgrade clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed  ## Create .venv with the locked, hash-checked dependencies

run: install  ## Serve with Gunicorn, in the foreground
	@exec $(BIN)/gunicorn

dev: install  ## Serve with reloader and debugger, on loopback only, with readable logs
	@SERVICE_ENV=development exec $(BIN)/python -m service

test: .venv/installed-dev programs lint  ## Check everything: lint, types, tests, coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=3 --dist=loadfile
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-long: .venv/installed-dev programs  ## Check at full size what `make test` checks at reduced size (20 minutes)
	RECYCLED=2000 SCANNED_URLS=100000 SCANNED_METHODS=1000 FORKS=300 ROUNDS=10 STALLED_SECONDS=60 FUZZ_EXAMPLES=5000 $(BIN)/python -m pytest -rP --timeout=3600 \
		-k "recycled_workers or scanner or children_forked or one_after_the_other or reload_and_scaling \
			or stalls or never_close or wait_for_a_check or no_value_stops_it or valid"

# What of observability/ another Prometheus, Alertmanager or Grafana may see otherwise.
NEWER := .newer
test-newer: PROGRAMS := npm:npm
test-newer: .venv/installed-dev programs $(NEWER)/usr/bin/prometheus  ## Check observability/ with Prometheus 3 from Debian unstable, and Grafana's types (4 minutes)
	PATH="$(CURDIR)/$(NEWER)/usr/bin:$$PATH" CI=true $(BIN)/python -m pytest $(addprefix tests/observability/,\
		test_rules.py test_rules_changed.py test_dashboard_values.py test_alertmanager.py test_queries.py test_monitor.py test_drill.py grafana_types.py)

$(NEWER)/usr/bin/prometheus:
	tests/observability/newer.sh $(NEWER)

bench bench-short: PROGRAMS := wrk:wrk
bench: $(BENCH)/installed programs  ## Measure beside bare Flask, exporter, structlog, OpenTelemetry, uWSGI (half an hour)
	$(BENCH)/bin/python -m benchmark $(BENCH_OPTIONS)

bench-short: .venv/installed-dev programs  ## Compare the CPU of a request with bare Flask (15 seconds)
	$(BIN)/python -m benchmark.guard

programs:
	@$(foreach program,$(PROGRAMS),command -v $(word 1,$(subst :, ,$(program))) >/dev/null || \
		$(call install_package,$(word 2,$(subst :, ,$(program)))) ;)

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

lock: .venv/installed-dev  ## Take what is new in pyproject.toml into the locks; all other versions stay
	$(LOCK) --output-file requirements.txt
	$(LOCK) --extra uwsgi --group dev --constraints requirements.txt --output-file requirements-dev.txt
	$(LOCK) --extra uwsgi --group benchmark --constraints requirements.txt --output-file benchmark/requirements.txt

upgrade: LOCK += --upgrade
upgrade: lock  ## Take the newest versions into the locks

clean:  ## Remove .venv and what the tools left behind
	rm -rf .venv $(BENCH) $(NEWER) .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage*

$(BENCH)/installed: benchmark/requirements.txt
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	@touch $@

# The dev lock holds every pin of the other one, so both may be installed into one environment.
.venv/installed: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --require-hashes --requirement requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(PIP) install --require-hashes --requirement requirements-dev.txt
	@touch $@
