# The library is a released archive, pinned in requirements-library.txt. See docs/upgrading.md.

# Builds the requirement from the address in pyproject.toml.
define requirement
import tomllib; source = tomllib.load(open("pyproject.toml", "rb"))["tool"]["uv"]["sources"]["flask-ops"]; \
print("flask-ops @", source["url"] + "".join("#subdirectory=" + source[key] for key in source if key != "url"))
endef

.PHONY: lock-library detach

.venv/installed: requirements-library.txt

lock-service: lock-library
lock-library: $(BIN)/uv
	$(BIN)/python -c '$(requirement)' | $(BIN)/uv pip compile - --quiet --universal --python-version 3.11 --no-deps \
		--generate-hashes --no-header --no-annotate --output-file requirements-library.txt

detach:
	@echo "This clone is detached already: requirements-library.txt pins the library. See docs/upgrading.md." >&2; exit 1
