"""``python -m benchmark.parts``: the CPU time of parts of each request, in microseconds.

It calls the functions of the service in this process. As in a worker, the connection is on loopback, and the metrics
store on disk. The figure of a part is the fastest of some rounds, so other work on the machine hardly counts.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from time import process_time

from flask_ops import Settings
from flask_ops.core import multiprocess
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.web import queue_time
from flask_ops.web.admission import Admission
from prometheus_client import CollectorRegistry

from benchmark.markdown import table
from benchmark.port import LOOPBACK

CALLS, ROUNDS = 20_000, 9


def measure(calls: int = CALLS, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the microseconds of each part. Raises RuntimeError if the kernel does not tell the time in the queue."""
    settings = Settings.from_environ({})
    metrics = RequestMetrics(CollectorRegistry(), settings)
    admission = Admission(settings, metrics)
    admission.open()
    with socket.create_server((LOOPBACK, 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        connection, _ = listener.accept()
        environ = {"gunicorn.socket": connection, "PATH_INFO": "/"}

        def wait() -> None:
            admission.refuses("/", queue_time.of_request(environ) or 0.0)

        def observe(queued: float | None) -> None:
            metrics.observe("GET", "/", 200, 0.005, exception=False, queued=queued)

        def cost(call: Callable[[], object]) -> float:
            return min(timeit.repeat(call, timer=process_time, number=calls, repeat=rounds)) / calls * 1e6

        with connection:
            client.sendall(b"G")
            bad = metrics._bad.of("/")
            if queue_time.of_request(environ) is None or bad is None:
                raise RuntimeError("The kernel does not tell how long a request has waited.")
            nothing = cost(lambda: None)
            counted, counted_with_wait = cost(lambda: observe(None)), cost(lambda: observe(0.0))
            return {
                "read the time in the queue, decide, count it": cost(wait) + counted_with_wait - counted - nothing,
                "compare with the objectives, count a bad one": cost(lambda: bad.count(200, 0.005)) - nothing,
                "count the request and its duration": counted - nothing,
            }


def main() -> int:
    """Print the table, and return the exit code."""
    if not multiprocess.is_shared():  # prometheus_client reads the variable when it is imported
        with tempfile.TemporaryDirectory() as store:
            command = [sys.executable, "-m", "benchmark.parts"]
            return subprocess.run(command, env={**os.environ, multiprocess.VARIABLE: store}, check=False).returncode
    print(table(("", "CPU per request, us"), [(name, f"{cost:.2f}") for name, cost in measure().items()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
