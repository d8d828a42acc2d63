"""Gauges of the accept queue: connections that no worker has accepted yet.

Without them, no metric shows these connections: a worker cannot see them.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_listeners: list[socket.socket] = []


def watch(listeners: Iterable[socket.socket]) -> None:
    """Measure only these listening sockets from now on."""
    # Keep the socket itself: Gunicorn's wrapper sets `sock` to None when another thread closes it.
    _listeners[:] = [getattr(listener, "sock", listener) for listener in listeners]


class AcceptQueue(Collector):
    """Collector of the queues of this process's listening TCP sockets. It collects nothing outside Linux."""

    def collect(self) -> Iterable[Metric]:
        """Yield the sums of length and limit over all sockets."""
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
    """Return the length and limit of the queue of one socket, None if they are unknown.

    For a listening socket, they are in ``tcpi_unacked`` and ``tcpi_sacked`` (net/ipv4/tcp.c, ``tcp_get_info``).
    """
    if sys.platform != "linux" or listener.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    except OSError:  # closed
        return None
    length, limit = struct.unpack_from("II", info, 24)
    return length, limit
