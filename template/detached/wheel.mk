# The library is a wheel in vendor/, pinned in requirements-library.txt. See docs/upgrading.md.

WHEEL = $(wildcard vendor/flask_ops-*.whl)

.PHONY: lock-library detach

.venv/installed: requirements-library.txt

lock-service: lock-library
lock-library: $(BIN)/uv
	@[ $(words $(WHEEL)) = 1 ] || \
		{ echo "Expected one wheel of flask-ops in vendor/, found: $(or $(WHEEL),none)" >&2; exit 1; }
	@sed -i.old 's|^flask-ops = .*|flask-ops = { path = "$(WHEEL)" }|' pyproject.toml && rm pyproject.toml.old
	echo ./$(WHEEL) | $(BIN)/uv pip compile - --quiet --universal --python-version 3.11 --no-deps \
		--generate-hashes --no-header --no-annotate --output-file requirements-library.txt

detach:
	@echo "This clone is detached already: requirements-library.txt pins the library. See docs/upgrading.md." >&2; exit 1
