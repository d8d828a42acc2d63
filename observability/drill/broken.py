"""The ways in which the drill breaks its service: routes under ``/faults`` and a readiness check that can fail."""

from __future__ import annotations

import os
import tempfile
import time
from functools import cache
from pathlib import Path

from flask import Blueprint, request
from prometheus_client import Counter

faults = Blueprint("faults", __name__, url_prefix="/faults")
_kept: list[bytes] = []
_opened: list[int] = []


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


def dependency() -> None:
    """Fail while ``/faults/dependency`` is down: a readiness check."""
    if _marker().exists():
        raise ConnectionError("a fault on request")


def _marker() -> Path:
    """Return the path of the file that all workers look for."""
    return Path(tempfile.gettempdir()) / "service-fault"
