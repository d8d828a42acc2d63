"""The end of a worker of which every thread is stuck, by its own hand: nothing else knows what is lost with it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_WR
from typing import Any

from flask_ops.log import sink
from flask_ops.servers.gunicorn import rejections
from flask_ops.servers.gunicorn.direct_worker import DirectWorker
from flask_ops.web import stuck_requests
from flask_ops.web.stuck_requests import Condemn

PARK_SECONDS = 1.0
"""How long the worker's main loop may take to stand still; where it takes longer, it is asked again later."""
_RECEIVE_BYTES = 64 * 1024
_BODY = b'{"type":"about:blank","title":"Service Unavailable","status":503}\n'
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
_ANSWER = _UNAVAILABLE + b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


def end_where(worker: Any, condemn: Condemn) -> None:
    """Kill this process, which is the one of ``worker``, where ``condemn`` returns requests that are lost with it.

    Nothing is taken up meanwhile. Where a thread has become free, all goes on as if nothing had been.
    """
    # One that is being ended leaves its requests their time, but not one that ends for ``max_requests``: no other
    # one is there before it has gone.
    if not worker.alive and (worker.nr < worker.max_requests or worker.has_left):
        return
    with _standing_still(worker) as waiting:
        if waiting is None:
            return
        requests = condemn()
        if not requests:
            return
        try:
            refused = sum(map(_refuse, waiting))
            stuck_requests.leave(requests_lost=requests, connections_refused=refused)
            sink.flush()
        finally:  # what was reported as aborted must not be served, whatever fails here
            os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def _standing_still(worker: Any) -> Iterator[list[Any] | None]:
    """Hold the main loop, which accepts connections, and take back those that no thread has begun with.

    None where it does not hold. The main loop of a sync worker is the one thread that is stuck.
    """
    if not isinstance(worker, DirectWorker):
        yield []
        return
    stands, go_on = threading.Event(), threading.Event()

    def stand() -> None:
        stands.set()
        go_on.wait()

    waiting: list[Any] = []
    try:
        worker.method_queue.defer(stand)
        if not stands.wait(PARK_SECONDS):
            yield None
            return
        threads: Any = worker.tpool  # the stub has Gunicorn's own pool
        waiting = threads.withdraw()
        yield waiting
    finally:
        for connection in waiting:
            worker.tpool.submit(connection)
        go_on.set()


def _refuse(connection: Any) -> bool:
    """Answer on a connection whose request nobody has read; return False where the client has gone."""
    client = connection.sock
    try:
        client.setblocking(False)
        # What stays unread would have the kernel reset the connection, and the client lose the answer.
        if client.recv(_RECEIVE_BYTES) == b"":
            return False
    except BlockingIOError:  # connected, and has sent nothing yet
        pass
    except OSError:
        return False
    rejections.refused(rejections.WORKER_STUCK, 503, connection.client[0] if connection.client else "")
    with suppress(OSError):
        if not connection.cfg.is_ssl:  # else it may not have begun to speak TLS
            client.send(_ANSWER)
        client.shutdown(SHUT_WR)
    return True
