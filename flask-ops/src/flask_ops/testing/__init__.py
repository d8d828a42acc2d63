"""A pytest plugin for applications that use flask_ops.

Turn it on in the root conftest.py, and define the fixture ``app``::

    pytest_plugins = ["flask_ops.testing"]


    @pytest.fixture
    def app() -> Flask:
        return create_app(Settings.from_environ({"SERVICE_ENV": "testing"}))

It gives you four fixtures:

- ``client``: Flask's test client. A request is over when its call returns.
- ``log_lines``: the fields of the lines that are logged during the test.
- ``metrics``: how much a metric has changed since the start of the test.
- ``run_check``: runs one readiness check, at once.

The library changes nothing in the process of the tests for longer than ``app`` lives: loggers, structlog, hooks of
``sys`` and ``threading``, environment. It starts no threads during a test that uses one of these fixtures. ``/readyz``
then runs the checks when it is asked.

This package has no assertions that pytest would have to rewrite (PYTEST_DONT_REWRITE), so conftest.py may import it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_ops.core import background
from flask_ops.ops.extension import Attached
from flask_ops.testing.attached import attached_to
from flask_ops.testing.captured_lines import LogLines, captured
from flask_ops.testing.check_run import CheckResult, RunCheck
from flask_ops.testing.complete_client import complete_client
from flask_ops.testing.isolation import cache_no_loggers, isolated
from flask_ops.testing.metric_changes import MetricChanges

__all__ = ["CheckResult", "LogLines", "MetricChanges", "RunCheck", "app", "client", "log_lines", "metrics", "run_check"]


@pytest.fixture
def app() -> Flask:
    """Fail: this fixture is yours to define, in conftest.py. It returns your Flask application."""
    pytest.fail(
        "There is no fixture 'app'. Define it in conftest.py: it returns your Flask application, "
        "for example create_app(Settings.from_environ({'SERVICE_ENV': 'testing'})).",
        pytrace=False,
    )


@pytest.fixture
def client(app: Flask, _attached: Attached) -> FlaskClient:
    """Return Flask's test client for ``app``.

    The response is read to its end and closed before the call returns, as a server does. The request's line and counts
    are there then. ``client.get(..., buffered=False)`` leaves the response open, for a stream that has no end.
    """
    return complete_client(app)


@pytest.fixture
def log_lines(_attached: Attached) -> Iterator[LogLines]:
    """Return what finds the log lines of this test by event and fields: ``log_lines("request", route="/")``.

    They are parsed from the bytes that are written in production: in the format of ``SERVICE_LOG_FORMAT``, with secrets
    masked, from ``SERVICE_LOG_LEVEL`` on. They are written to stdout, too, where pytest shows them if the test fails.
    """
    with captured(_attached.runtime.settings) as lines:
        yield lines


@pytest.fixture
def metrics(_attached: Attached) -> MetricChanges:
    """Return what tells how much a metric has changed in this test: ``metrics("orders_total", kind="book")``."""
    return MetricChanges(_attached.runtime.collect)


@pytest.fixture
def run_check(_attached: Attached) -> RunCheck:
    """Return what runs one readiness check of ``app`` and returns its result: ``run_check("database")``."""
    return RunCheck(_attached.health)


@pytest.fixture
def _attached(app: Flask) -> Iterator[Attached]:
    with background.forbidden():
        yield attached_to(app)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Make ``app`` with a state of its own. The process gets its former state back when ``app`` ends."""
    if fixturedef.argname != "app":
        return (yield)
    isolation = contextlib.ExitStack()
    isolation.enter_context(isolated())
    request.addfinalizer(isolation.close)  # runs after the end of the fixture, and if that fails to begin
    made = yield
    cache_no_loggers()
    return made


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Set the log level of ``log_lines`` again: pytest's option ``log_level`` sets another one for each phase."""
    lines = getattr(item, "funcargs", {}).get("log_lines")
    if isinstance(lines, LogLines):
        lines.set_level()
    return (yield)
