"""The views of all subjects. They are the same, so only the setup differs."""

from __future__ import annotations

import os
import time
from functools import partial

from flask import Flask, Response, jsonify, request

LONGEST_SECONDS = 10.0


def add_index(app: Flask) -> None:
    """Add ``/`` and a typical liveness route."""
    app.add_url_rule("/", "index", index)
    app.add_url_rule("/healthz", "healthz", lambda: "ok")


def add_load(app: Flask) -> None:
    """Add ``/slow``, ``/compute``, and ``BENCHMARK_ROUTES`` routes that start at ``/route/0``."""
    app.add_url_rule("/slow", "slow", slow)
    app.add_url_rule("/compute", "compute", compute)
    for number in range(int(os.environ.get("BENCHMARK_ROUTES", "0"))):
        app.add_url_rule(f"/route/{number}", f"route_{number}", partial(jsonify, number=number))


def index() -> Response:
    """Return a small JSON response."""
    return jsonify(name="service", version="0.1.0")


def slow() -> str:
    """Sleep for ``?seconds=``, like a view that waits for a database."""
    time.sleep(min(float(request.args["seconds"]), LONGEST_SECONDS))
    return "slow"


def compute() -> str:
    """Use ``?seconds=`` of CPU time, like a view that renders a large template."""
    end = time.thread_time() + min(float(request.args["seconds"]), LONGEST_SECONDS)
    while time.thread_time() < end:
        sum(range(1000))
    return "computed"
