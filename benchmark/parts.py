"""``python -m benchmark.parts``: the CPU time of parts of each request, in microseconds.

It calls the functions of the service in this process, with a connection on loopback and a metrics store on disk, as a
worker has them. The figure of a part is the fastest of some rounds, so other work on the machine hardly counts.
"""

from __future__ import annotations

import os
import socket
import tempfile
import timeit
from collections.abc import Callable
from time import process_time

from benchmark.markdown import table
from benchmark.port import LOOPBACK

CALLS, ROUNDS = 20_000, 9


def measure(calls: int = CALLS, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the microseconds of each part."""
    # The variable must be set before the import of prometheus_client.
    from flask_ops import Settings  # noqa: PLC0415
    from flask_ops.metrics.requests import RequestMetrics  # noqa: PLC0415
    from flask_ops.web import queue_time  # noqa: PLC0415
    from flask_ops.web.admission import Admission  # noqa: PLC0415
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

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

        with connection:
            client.sendall(b"G")
            bad = metrics._bad.of("/")
            if queue_time.of_request(environ) is None or bad is None:
                raise RuntimeError("The kernel does not tell how long a request has waited.")

            def cost(call: Callable[[], object]) -> float:
                return min(timeit.repeat(call, timer=process_time, number=calls, repeat=rounds)) / calls * 1e6

            nothing = cost(lambda: None)
            counted, counted_with_wait = cost(lambda: observe(None)), cost(lambda: observe(0.0))
            return {
                "read the time in the queue, decide, count it": cost(wait) + counted_with_wait - counted - nothing,
                "compare with the objectives, count a bad one": cost(lambda: bad.count(200, 0.005)) - nothing,
                "count the request and its duration": counted - nothing,
            }


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as store:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = store
        parts = measure()
    print(table(("", "CPU per request, us"), [(name, f"{cost:.2f}") for name, cost in parts.items()]))


if __name__ == "__main__":
    main()
