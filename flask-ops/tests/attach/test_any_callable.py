"""Any WSGI callable has one line and one count for each request, and the route if Flask knows one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.attach.servers import LOOPBACK, assert_observed, attached

ITEM, FAULT, EXIT, STREAM = "/items/<int:number>", "/raise", "/exit", "/stream"
OF_FLASK = {"/items/7": (ITEM, 200), "/raise": (FAULT, 500), "/exit": (EXIT, 500), "/stream": (STREAM, 200)}
UNMATCHED = "unmatched"

APPLICATIONS: dict[str, dict[str, tuple[str, int]]] = {
    "function": {"/": (UNMATCHED, 200), "/raise": (UNMATCHED, 500)},
    "generator": {"/": (UNMATCHED, 200)},
    "flask_application()": {**OF_FLASK, "/nothing": (UNMATCHED, 404)},
    "dispatched()": {
        "/": (UNMATCHED, 200),
        "/raise": (UNMATCHED, 500),
        **{f"/shop{path}": expected for path, expected in OF_FLASK.items()},
    },
    "whitened()": {**OF_FLASK, "/files/wsgi.py": (UNMATCHED, 200)},
    "whitened_inside()": {**OF_FLASK, "/files/wsgi.py": (UNMATCHED, 200)},
    "copied()": OF_FLASK,
    "late()": OF_FLASK,
    "late_and_copied()": OF_FLASK,
}


@pytest.mark.parametrize("name", list(APPLICATIONS))
def test_it_has_one_line_and_one_count_for_each_request(name: str, tmp_path: Path) -> None:
    """A line that a view of Flask logs has the route as well."""
    expected: Counter[tuple[str, str, str]] = Counter()
    with attached(f"tests.applications.wsgi:{name}", tmp_path, [LOOPBACK, "-w", "1"]) as server:
        (worker,) = server.children()
        for path, (route, status) in APPLICATIONS[name].items():
            for method in ("GET", "HEAD"):
                assert status == server.request(method, path).status, path
                expected[method, route, str(status)] += 1
        if ITEM in {route for route, _ in APPLICATIONS[name].values()}:
            mounted = "/shop" if name == "dispatched()" else ""
            request_id = server.get(f"{mounted}/log").headers["X-Request-ID"]
            expected["GET", "/log", "200"] += 1
            line = server.line("a line of the view")
            assert ("/log", request_id) == (line["route"], line["request_id"])

        assert_observed(server, expected)
        assert [worker] == server.children()
