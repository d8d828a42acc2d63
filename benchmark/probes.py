"""Probes or scrapes of a server during a measurement, at fixed intervals.

They are sent by a process of their own. In the process that makes the load, they would wait for its GIL.
"""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmark.open_loop import PATIENCE_SECONDS
from benchmark.port import LOOPBACK
from benchmark.server import Server
from benchmark.subject import ROOT

PROBE_SECONDS = 0.1


class Probes:
    """Requests ``path`` on the port ``aside`` during the block, by default the first probe, if it is on that port."""

    def __init__(self, server: Server, path: str | None = None, every: float = PROBE_SECONDS) -> None:
        if path is None and server.subject.probes_aside:
            path = server.subject.probes[0]
        self._target = [str(server.deployment.aside), path, str(every)] if path is not None else []
        self._found: list[tuple[float, float]] = []
        """The begin of each, as ``time.perf_counter()``, and how long it took in milliseconds."""

    def between(self, begin: float, end: float) -> Iterator[float]:
        """Yield how long the probes took that began in this time, after the block."""
        return (milliseconds for started, milliseconds in self._found if begin <= started < end)

    def __enter__(self) -> Probes:
        if self._target:
            command = [sys.executable, "-m", "benchmark.probes", *self._target]
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        if self._target:
            output = self._process.communicate()[0]  # closes its standard input, which ends it
            self._found = json.loads(output)


def main(port: str, path: str, every: str) -> None:
    """Request ``path`` until the standard input ends. Then print begin and milliseconds of each probe, as JSON."""
    found = []
    while not select.select([sys.stdin], [], [], float(every))[0]:
        begin = time.perf_counter()
        is_answered = _is_answered(int(port), path)
        found.append((begin, (time.perf_counter() - begin if is_answered else PATIENCE_SECONDS) * 1e3))
    print(json.dumps(found))


def _is_answered(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
