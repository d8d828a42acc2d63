"""The accept queue: connections that the kernel has made and no worker has taken yet."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_listeners: list[socket.socket] = []


def watch(listeners: Iterable[socket.socket]) -> None:
    """Measure these listening sockets from now on, and no others."""
    # Gunicorn's are objects around a socket that forget it when they are closed, in another thread.
    _listeners[:] = [getattr(listener, "sock", listener) for listener in listeners]


class AcceptQueue(Collector):
    """Reads the queue of each listening TCP socket of this process; on Linux, elsewhere nothing."""

    def collect(self) -> Iterable[Metric]:
        """Yield length and limit over all sockets."""
        queues = [queue for queue in map(_queue, _listeners) if queue is not None]
        if queues:
            yield GaugeMetricFamily(
                "service_accept_queue_length",
                "Connections that wait in the kernel for a worker to accept them.",
                value=sum(length for length, _ in queues),
            )
            yield GaugeMetricFamily(
                "service_accept_queue_limit",
                "Connections that may wait in the kernel; further ones are refused.",
                value=sum(limit for _, limit in queues),
            )


def _queue(listener: socket.socket) -> tuple[int, int] | None:
    """Return length and limit of the queue of one socket.

    In the ``tcp_info`` of a socket that listens, the kernel puts them where a connection has its
    unacknowledged and selectively acknowledged segments (net/ipv4/tcp.c, ``tcp_get_info``).
    """
    if sys.platform != "linux" or listener.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    except OSError:  # closed
        return None
    length, limit = struct.unpack_from("II", info, 24)
    return length, limit
