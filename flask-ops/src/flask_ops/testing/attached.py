"""The part of an application that ``flask_ops.Ops`` has attached to it."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_ops.ops.extension import Attached


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
