"""Faults on request, for drills. SERVICE_FAULTS turns them on, and is refused in production."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from flask import Blueprint, Flask, request
from prometheus_client import Counter

from flask_ops.core.settings import Settings
from flask_ops.health import Check

CHECK = "fault"
"""The name of the readiness check that fails on request."""

faults = Blueprint("faults", __name__, url_prefix="/faults")
_kept: list[bytes] = []
_opened: list[int] = []


def init_app(app: Flask, settings: Settings) -> None:
    """Add the routes to ``app`` if the settings enable them."""
    if settings.faults:
        app.register_blueprint(faults)


def checks(settings: Settings) -> Sequence[Check]:
    """Return the check that fails on request, if the settings enable it."""
    return [Check(CHECK, _dependency, interval=0.5)] if settings.faults else []


@faults.post("/error")
def error() -> str:
    """Fail with an exception."""
    raise RuntimeError("a fault on request")


@faults.post("/slow")
def slow() -> str:
    """Sleep for ``seconds``: 1 by default, at most an hour."""
    time.sleep(min(request.args.get("seconds", 1.0, float), 3600.0))
    return "slow\n"


@faults.post("/crash")
def crash() -> str:
    """End the worker at once, like a fault in compiled code. The client gets no answer."""
    os._exit(70)


@faults.post("/leak")
def leak() -> str:
    """Leak ``mebibytes`` of memory, 1 by default."""
    _kept.append(os.urandom(1024) * (1024 * request.args.get("mebibytes", 1, int)))
    return f"{sum(map(len, _kept))}\n"


@faults.post("/descriptors")
def descriptors() -> str:
    """Open ``count`` files, 1 by default, and never close them."""
    _opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(request.args.get("count", 1, int)))
    return f"{len(_opened)}\n"


@faults.post("/series")
def series() -> str:
    """Create ``count`` series, 1 by default, like a label with unbounded values."""
    for number in range(request.args.get("count", 1, int)):
        _unbounded().labels(str(number)).inc()
    return "made\n"


@faults.put("/dependency")
def dependency_down() -> str:
    """Make the readiness check fail in all workers."""
    _marker().touch()
    return "down\n"


@faults.delete("/dependency")
def dependency_up() -> str:
    """Make the readiness check pass again."""
    _marker().unlink(missing_ok=True)
    return "up\n"


@cache
def _unbounded() -> Counter:
    return Counter("service_faults", "Series that were made on request.", ["number"])


def _dependency() -> None:
    if _marker().exists():
        raise ConnectionError("a fault on request")


def _marker() -> Path:
    """Return the path of the file that all workers look for."""
    return Path(tempfile.gettempdir()) / "service-fault"
