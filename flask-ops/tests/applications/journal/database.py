from __future__ import annotations

import sqlite3
from typing import Any

from flask import Flask, current_app, g

_SCHEMA = """
CREATE TABLE IF NOT EXISTS author (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, author_id INTEGER NOT NULL, title TEXT NOT NULL, body TEXT);
"""


def connection() -> sqlite3.Connection:
    if "connection" not in g:
        g.connection = sqlite3.connect(current_app.config["DATABASE"])
        g.connection.row_factory = sqlite3.Row
    found: sqlite3.Connection = g.connection
    return found


def close(_: Any = None) -> None:
    opened = g.pop("connection", None)
    if opened is not None:
        opened.close()


def init_app(app: Flask) -> None:
    app.teardown_appcontext(close)
    with app.app_context():
        connection().executescript(_SCHEMA)
