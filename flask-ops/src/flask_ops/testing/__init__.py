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

When ``app`` ends, the library restores the process: loggers, structlog, hooks of ``sys`` and ``threading``,
environment. It starts no threads during a test that uses one of these fixtures. ``/readyz`` then runs the checks.

This package has no assertions for pytest to rewrite (PYTEST_DONT_REWRITE), so conftest.py may import it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient

from flask_ops.core.background import FORBIDDEN
from flask_ops.log import process_state
from flask_ops.ops.extension import Attached
from flask_ops.ops.startup import PROCESS
from flask_ops.testing.application import CheckResult, RunCheck, attached_to, complete_client
from flask_ops.testing.captured_lines import LogLines, captured
from flask_ops.testing.metric_changes import MetricChanges

__all__ = ["CheckResult", "LogLines", "MetricChanges", "RunCheck", "app", "client", "log_lines", "metrics", "run_check"]


@pytest.fixture
def app() -> Flask:
    """Fail: define this fixture in your conftest.py. It returns your Flask application."""
    pytest.fail(
        "There is no fixture 'app'. Define it in conftest.py: it returns your Flask application, "
        "for example create_app(Settings.from_environ({'SERVICE_ENV': 'testing'})).",
        pytrace=False,
    )


@pytest.fixture
def client(app: Flask, _attached: Attached) -> FlaskClient:
    """Return Flask's test client for ``app``.

    The call reads the response to its end and closes it, as a server does. The request is logged and counted when the
    call returns. ``client.get(..., buffered=False)`` leaves the response open, for a stream that has no end.
    """
    return complete_client(app)


@pytest.fixture
def log_lines(_attached: Attached) -> Iterator[LogLines]:
    """Return the log lines of this test, to find by event and fields: ``log_lines("request", route="/")``.

    They are parsed from the bytes that production writes: in the format of ``SERVICE_LOG_FORMAT``, with secrets masked,
    from ``SERVICE_LOG_LEVEL`` on. They also go to stdout, which pytest shows if the test fails.
    """
    with captured(_attached.runtime.settings) as lines:
        yield lines


@pytest.fixture
def metrics(_attached: Attached) -> MetricChanges:
    """Return the changes of metrics in this test: ``metrics("orders_total", kind="book")``."""
    return MetricChanges(_attached.runtime.collect)


@pytest.fixture
def run_check(_attached: Attached) -> RunCheck:
    """Return a function that runs one readiness check of ``app``: ``run_check("database")``."""
    return RunCheck(_attached.health)


@pytest.fixture
def _attached(app: Flask) -> Iterator[Attached]:
    FORBIDDEN.set()
    try:
        yield attached_to(app)
    finally:
        FORBIDDEN.clear()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Make ``app`` with its own state. The end of ``app`` restores the former state of the process."""
    if fixturedef.argname != "app":
        return (yield)
    isolation = contextlib.ExitStack()
    isolation.enter_context(process_state.preserved())
    isolation.enter_context(PROCESS.isolated())  # so that the application makes its own runtime
    request.addfinalizer(isolation.close)  # also runs if the fixture fails to begin
    made = yield
    if structlog.is_configured():  # a cached logger would keep this configuration after the test
        structlog.configure(**{**structlog.get_config(), "cache_logger_on_first_use": False})
    return made


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Set the log level of ``log_lines`` again: pytest's option ``log_level`` changes it for each phase."""
    lines = getattr(item, "funcargs", {}).get("log_lines")
    if isinstance(lines, LogLines):
        lines.set_level()
    return (yield)
