"""Load generation with wrk, and a parser for its report."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

MARGIN_SECONDS = 20.0
"""Extra time for wrk after its duration, before it is killed."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = r"([0-9.]+)(us|ms|s|m|h)"


class MissingError(RuntimeError):
    """wrk is not installed, or its output has an unknown format."""


@dataclass(frozen=True, slots=True)
class Load:
    """One run of wrk. Durations are in seconds. ``failed`` counts socket errors and responses except 2xx and 3xx."""

    requests: int
    seconds: float
    p50: float
    p99: float
    failed: int


def command(url: str, seconds: int, connections: int, headers: Sequence[str] = ()) -> list[str]:
    """Return the command of a run. One thread of wrk sends more than any of these servers can handle.

    ``headers`` are lines like ``Connection: close``.
    """
    program = shutil.which("wrk")
    if program is None:
        raise MissingError("wrk is not installed: apt-get install --no-install-recommends wrk")
    options = ["--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--latency"]
    return [program, *options, *(f"--header={header}" for header in headers), url]


def run(url: str, seconds: int, connections: int, headers: Sequence[str] = ()) -> Load:
    """Request ``url`` without pauses for ``seconds``, on ``connections`` connections."""
    done = subprocess.run(
        command(url, seconds, connections, headers),
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + MARGIN_SECONDS,
    )
    return parse(done.stdout)


def parse(output: str) -> Load:
    """Parse the output of ``wrk --latency``. Raise MissingError if a figure is missing."""
    total = re.search(rf"(\d+) requests in {_DURATION},", output)
    if total is None:
        raise MissingError(f"the output of wrk has no number of requests:\n{output}")
    failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", output)))
    failed += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", output)))
    return Load(int(total[1]), _seconds(total[2], total[3]), _percentile(output, 50), _percentile(output, 99), failed)


def _percentile(output: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+{_DURATION}\s*$", output, re.MULTILINE)
    if found is None:
        raise MissingError(f"the output of wrk has no {percent}th percentile:\n{output}")
    return _seconds(found[1], found[2])


def _seconds(number: str, unit: str) -> float:
    return float(number) * _UNITS[unit]
