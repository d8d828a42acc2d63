"""The application of a test: its client, and one run of one of its checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_ops.health import Status
from flask_ops.health.engine import Health, Runner
from flask_ops.ops.extension import Attached

if TYPE_CHECKING:
    from werkzeug.test import TestResponse


def attached_to(app: object) -> Attached:
    """Return the object that ``Ops`` has attached to ``app``. Fail the test with the reason if there is none."""
    if not isinstance(app, Flask):
        pytest.fail(
            f"The fixture 'app' returns {app!r:.100}, a {type(app).__name__}. Return a Flask application.",
            pytrace=False,
        )
    attached = app.extensions.get("flask_ops")
    if not isinstance(attached, Attached):
        pytest.fail(
            f"The application {app.name!r} of the fixture 'app' has no log lines, metrics and checks of flask_ops. "
            "Call flask_ops.Ops(app) in its factory.",
            pytrace=False,
        )
    return attached


class _CompleteClient(FlaskClient):
    def open(self, *args: Any, buffered: bool = True, follow_redirects: bool = False, **kwargs: Any) -> TestResponse:
        """Send a request, read the response to its end and close it."""
        return super().open(*args, buffered=buffered, follow_redirects=follow_redirects, **kwargs)


def complete_client(app: Flask) -> FlaskClient:
    """Return a client of the application's own class, whose requests are over when the call returns."""
    own = app.test_client_class
    bases = (_CompleteClient,) if own is None else (_CompleteClient, own)
    client: FlaskClient = type("CompleteClient", bases, {})(app, app.response_class, use_cookies=True)
    return client


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one run of a check.

    ``status`` is ``ok`` or ``down``. ``reason`` is None, the type of the exception, or ``timed out``. ``error`` is the
    exception, None if there was none. ``seconds`` is how long the run took.
    """

    name: str
    status: str
    critical: bool
    seconds: float
    reason: str | None
    error: BaseException | None


class RunCheck:
    """Runs one readiness check of the application: ``run_check("database")``."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def __call__(self, name: str) -> CheckResult:
        """Run the check called ``name`` once, in this thread, and return its result as a new worker would see it.

        An exception of the check is not raised: it is in the result. A run that takes longer than the check's timeout
        is ``down`` when it ends. Raises LookupError, which names the checks that exist, for any other name.
        """
        __tracebackhide__ = True
        runner = Runner(self._health.check(name), lambda _: Status.STARTING)
        error = runner.run()
        result = runner.result()
        return CheckResult(name, str(result.status), result.critical, result.seconds, result.reason, error)
