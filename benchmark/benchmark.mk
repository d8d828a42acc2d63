# `make bench` uses a separate virtual environment. A short run: make bench ROUNDS=1 SECONDS=1 SUBJECTS=bare,service

BENCH := .venv-bench
BENCH_OPTIONS := $(if $(ROUNDS),--rounds=$(ROUNDS)) $(if $(SECONDS),--seconds=$(SECONDS)) \
	$(if $(SUBJECTS),--subjects=$(SUBJECTS)) $(if $(SERIES),--series=$(SERIES)) \
	$(if $(RECYCLED),--recycled=$(RECYCLED)) $(if $(OUTPUT),--output=$(OUTPUT))

.PHONY: bench bench-short bench-fleet lock-benchmark clean-benchmark

clean: clean-benchmark
clean-benchmark:
	rm -rf $(BENCH)

bench: PROGRAMS := wrk:wrk haproxy:haproxy nginx:nginx-light
bench-short: PROGRAMS := wrk:wrk
bench: $(BENCH)/installed programs  ## Compare with bare Flask, exporter, structlog, OpenTelemetry, Granian, uWSGI (an hour)
	$(BENCH)/bin/python -m benchmark $(BENCH_OPTIONS)

bench-short: .venv/installed-library programs  ## Compare the CPU per request with bare Flask (15 seconds)
	$(BIN)/python -m benchmark.guard

# SECONDS is the time of each of the two parts.
bench-fleet: PROGRAMS := $(PROMETHEUS)
bench-fleet: .venv/installed-library programs  ## Measure the rules for 1,000 targets, beside a copy for each service (15 minutes)
	@$(BIN)/python -m benchmark.fleet observability/rules --copies $(if $(SECONDS),--seconds=$(SECONDS))

lock: lock-benchmark
lock-benchmark: lock-service
	cd flask-ops && $(call compile,..) --extra gunicorn --extra waitress --extra uwsgi --group benchmark \
		--constraints ../requirements.txt --output-file ../benchmark/requirements.txt

$(BENCH)/installed: benchmark/requirements.txt flask-ops/requirements-build.txt
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes \
		$(addprefix --requirement ,$^)
	$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation \
		--editable flask-ops
	@touch $@
