"""The environment of every test, the folders whose tests take long, and the files that begin first."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

# Background jobs and many CI runners ignore SIGINT, and programs inherit that. Ctrl-C would not end the servers.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Some containers set this variable. Each server that a test starts would then compile all sources again, which takes
# about a quarter of the CPU time of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_TESTS = Path(__file__).parent
_SYSTEM = {
    _TESTS / name for name in ("attach", "observability", "package", "repository", "testing", "uwsgi", "waitress")
}
"""Every test in these folders is a system test. Elsewhere, tests have the marker."""
_FIRST = {
    _TESTS / name
    for name in (
        "metrics/test_children.py",
        "observability/test_queries.py",
        "observability/test_rules_changed.py",
        "repository/deploy/test_container.py",
        "repository/deploy/test_proxies_failover.py",
        "repository/observability/test_drill.py",
        "repository/test_detach.py",
        "repository/test_guides.py",
    )
}
"""Files that take about a minute each. `make test-all` would wait for them alone if they began last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in _FIRST, -tests[item.path]))
    for item in items:
        if _SYSTEM & {*item.path.parents}:
            item.add_marker(pytest.mark.system)
