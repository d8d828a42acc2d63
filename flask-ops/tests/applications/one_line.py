"""The journal application, attached to this library in one line."""

from __future__ import annotations

from flask import Flask

from flask_ops import Ops
from tests.applications import journal


def create_app() -> Flask:
    app = journal.create_app()
    Ops(app)
    return app
