"""An application, by default the journal, attached to this library in one line."""

from __future__ import annotations

import os

from flask import Flask

from flask_ops import Ops
from flask_ops.core.loading import load_application


def create_app() -> Flask:
    app: Flask = load_application(os.environ.get("APPLICATION", "tests.applications.journal:create_app()"))
    Ops(app)
    return app
