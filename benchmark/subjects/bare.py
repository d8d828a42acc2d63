"""Plain Flask."""

from __future__ import annotations

from flask import Flask

from benchmark.subjects.views import add_index, add_load

app = Flask(__name__)
add_index(app)
add_load(app)
