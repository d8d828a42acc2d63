"""Description of the machine, and the versions of packages."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.subject import ROOT

_PACKAGES = (
    "flask",
    "gunicorn",
    "gunicorn_h1c",
    "prometheus-client",
    "prometheus-flask-exporter",
    "structlog",
    "orjson",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-flask",
    "python-json-logger",
    "granian",
    "pyuwsgi",
)


def describe() -> dict[str, Any]:
    """Return the facts that belong to a result. ``load`` is the load average of the last minute."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cpus": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "commit": _commit(),
        "load": os.getloadavg()[0],
    }


def _cpu() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    """Return the commit, with ``-dirty`` if files differ from it. Outside of a checkout, return an empty text."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
