"""The exit of a worker if all its threads are stuck. The worker kills itself: only it knows the lost requests.

Without this module, a threaded worker would stay stuck, because its main loop still sends heartbeats.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from socket import SHUT_WR
from typing import Any

from flask_ops.log import sink
from flask_ops.metrics import slo
from flask_ops.servers.gunicorn import logger
from flask_ops.web import stuck_requests
from flask_ops.web.stuck_requests import ReportLost

PARK_SECONDS = 1.0
"""Time for the worker's main loop to pause. After it, this attempt ends, and a later one tries again."""
_RECEIVE_BYTES = 64 * 1024
_BODY = b'{"type":"about:blank","title":"Service Unavailable","status":503}\n'
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
_ANSWER = _UNAVAILABLE + b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


def end_process(worker: Any, report_lost: ReportLost) -> None:
    """Kill this process, the process of ``worker``, if ``report_lost`` returns lost requests.

    The worker accepts no connection meanwhile. If a thread has become free, the worker continues.
    """
    # A worker that stops gives its requests their time. A worker that ends for ``max_requests`` must not: it has no
    # successor before it has gone.
    if not worker.alive and (worker.nr < worker.max_requests or worker.tpool.is_ending):
        return
    stands, go_on = threading.Event(), threading.Event()

    def stand() -> None:
        stands.set()
        go_on.wait()

    waiting: list[Any] = []
    worker.method_queue.defer(stand)  # the main loop, which accepts connections, pauses
    try:
        if not stands.wait(PARK_SECONDS):
            return
        waiting = worker.tpool.withdraw()
        requests = report_lost()
        if not requests:
            return
        try:
            refused = sum(map(_refuse, waiting))
            stuck_requests.leave(requests_lost=requests, connections_refused=refused)
            sink.flush()
        finally:  # the worker must not serve requests that it reported as aborted
            os.kill(os.getpid(), signal.SIGKILL)
    finally:
        for connection in waiting:
            worker.tpool.submit(connection)
        go_on.set()


def _refuse(connection: Any) -> bool:
    """Answer 503 on a connection without reading its request. Return False if the client has gone."""
    client = connection.sock
    try:
        client.setblocking(False)
        # With unread data, the kernel would reset the connection, and the client would lose the answer.
        if client.recv(_RECEIVE_BYTES) == b"":
            return False
    except BlockingIOError:  # the client has sent nothing yet
        pass
    except OSError:
        return False
    logger.refused(slo.WORKER_STUCK, 503, connection.client[0] if connection.client else "")
    with suppress(OSError):
        if not connection.cfg.is_ssl:  # with TLS, the handshake may be missing
            client.send(_ANSWER)
        client.shutdown(SHUT_WR)
    return True
