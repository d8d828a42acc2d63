"""The environment of every test, and the folders whose tests take long."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

# Background jobs and many CI runners ignore SIGINT, and programs inherit that. Ctrl-C would not end the servers.
signal.signal(signal.SIGINT, signal.default_int_handler)

_SYSTEM = {
    Path(__file__).parent / name
    for name in ("attach", "observability", "package", "repository", "testing", "uwsgi", "waitress")
}
"""Every test in these folders is a system test. Elsewhere, tests have the marker."""


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    for item in items:
        if _SYSTEM & {*item.path.parents}:
            item.add_marker(pytest.mark.system)
