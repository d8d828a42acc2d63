"""The dashboard, checked against Grafana's published types of each major version: a part of `make test-newer`.

`make test-all` leaves it out, because it needs npm and the network. TypeScript refuses names and values that a version
does not know. It checks the dashboard and the options of each kind of panel.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.observability.dashboards import DASHBOARDS, panels
from tests.programs import require

VERSIONS = ("11.0.7", "11.6.16", "12.4.11", "13.2.3")
TYPESCRIPT = "typescript@5.9.3"
FOLDERS = {"timeseries": "timeseries", "stat": "stat", "state-timeline": "statetimeline", "table": "table"}
"""Grafana's name for each kind of panel in the paths of its types."""
OF_THE_DATA_SOURCE = {"expr", "step", "titleFormat", "textFormat", "tagKeys", "useValueForTime"}
"""Fields of an annotation that belong to Prometheus, and so to no type."""
OF_AN_INTERVAL = {"auto", "auto_count", "auto_min"}
"""Fields that Grafana's library gives to every variable, and that Grafana ignores except in intervals."""

# In a file, a member of an enumeration is its text, and fields with a default may be missing.
AS_WRITTEN = """
type Written<T> = unknown extends T ? T : T extends string ? `${T}` : T extends number ? number
  : T extends (infer U)[] ? Written<U>[] : T extends object ? {[K in keyof T]?: Written<T[K]>} : T;
"""


def install(directory: Path, package: str) -> Path:
    command: list[str | Path] = [require("npm"), "install", "--silent", "--ignore-scripts", "--prefix", directory]
    subprocess.run([*command, package], check=True, capture_output=True, timeout=100)
    return directory / "node_modules"


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("typescript"), TYPESCRIPT) / ".bin" / "tsc"


def program(dashboard: dict[str, Any], schema: Path) -> Iterator[str]:
    """Yield the lines of a program that is valid if the dashboard has the types of ``schema``."""
    yield 'import type { Dashboard } from "@grafana/schema";'
    for name in FOLDERS.values():
        (found, *_) = sorted(schema.glob(f"dist/**/composable/{name}/**/*gen.d.ts"), key=lambda path: len(path.parts))
        yield f'import type * as {name} from "{found.with_suffix("").with_suffix("")}";'
    yield AS_WRITTEN
    board = json.loads(json.dumps(dashboard))
    for annotation in board["annotations"]["list"]:
        for field in OF_THE_DATA_SOURCE & annotation.keys():
            del annotation[field]
    for variable in board["templating"]["list"]:
        for field in OF_AN_INTERVAL & variable.keys():
            del variable[field]
    yield f"const board: Written<Dashboard> = {json.dumps(board, indent=1)};"
    for i, panel in enumerate(panels(dashboard)):
        name = FOLDERS[panel["type"]]
        yield f"const options{i}: Written<{name}.Options> = {json.dumps(panel['options'])};"
        if custom := panel["fieldConfig"]["defaults"].get("custom"):
            yield f"const field{i}: Written<{name}.FieldConfig> = {json.dumps(custom)};"


def complaints(compiler: Path, directory: Path, dashboard: dict[str, Any], schema: Path) -> str:
    source = directory / "dashboard.ts"
    source.write_text("\n".join(program(dashboard, schema)))
    command: list[str | Path] = [compiler, "--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler"]
    command += ["--module", "esnext", "--target", "es2022", source]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_has_the_types_of_this_version(name: str, version: str, compiler: Path, tmp_path: Path) -> None:
    schema = install(tmp_path, f"@grafana/schema@{version}") / "@grafana" / "schema"
    dashboard = json.loads(json.dumps(DASHBOARDS[name]))
    assert "" == complaints(compiler, tmp_path, dashboard, schema)

    next(panels(dashboard))["options"]["colourMode"] = "value"
    dashboard["refresh"] = 30
    found = complaints(compiler, tmp_path, dashboard, schema)
    assert "'\"colourMode\"' does not exist" in found
    assert "Type 'number' is not assignable to type" in found
