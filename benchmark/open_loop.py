"""An open loop of requests: they arrive by the clock and do not wait for responses, as from many clients."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmark.port import LOOPBACK

PATIENCE_SECONDS = 2.0
"""Time until a client gives up and closes its connection."""
_TICK_SECONDS = 0.001

T = TypeVar("T")
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: when it was sent after the start of its phase, how it ended, and how long that took, in seconds.

    ``status`` is None if the client gave up or lost its connection.
    """

    at: float
    status: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Phase:
    """Requests per second for some seconds."""

    rate: float
    seconds: float


def run(port: int, path: str, phases: Sequence[Phase], note: Callable[[], T]) -> tuple[list[list[Sent]], list[T]]:
    """Send the requests of all phases, one after the other.

    Return the results of each phase, and what ``note`` returns at the start of each and at the end of the last.
    """
    return asyncio.run(_run(port, path, phases, note))


async def _run(
    port: int, path: str, phases: Sequence[Phase], note: Callable[[], T]
) -> tuple[list[list[Sent]], list[T]]:
    client = _Client(port, path)
    results: list[list[Sent]] = [[] for _ in phases]
    notes: list[T] = []
    async with asyncio.TaskGroup() as requests:
        for phase, sent in zip(phases, results, strict=True):
            notes.append(note())
            begin, number = time.perf_counter(), 0
            while (now := time.perf_counter() - begin) < phase.seconds:
                for _ in range(number, int(phase.rate * now)):
                    requests.create_task(client.ask(sent, begin))
                    number += 1
                await asyncio.sleep(_TICK_SECONDS)
        notes.append(note())
    client.close()
    return results, notes


class _Client:
    """Sends requests on idle connections, or on a new one if there is none, as a reverse proxy does."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self._idle: list[Connection] = []

    async def ask(self, results: list[Sent], begin: float) -> None:
        """Send one request, and add its result."""
        start = time.perf_counter()
        status = None
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                status = await self._ask()
        results.append(Sent(start - begin, status, time.perf_counter() - start))

    async def _ask(self) -> int:
        reader, writer = await self._connection()
        keeps = False
        try:
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, length, rest = head.partition(b"content-length:")
            if length:
                await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
            keeps = bool(length) and b"connection: close" not in head
            return int(head.split(b" ", 2)[1])
        finally:
            if keeps:
                self._idle.append((reader, writer))
            else:
                writer.close()

    async def _connection(self) -> Connection:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(LOOPBACK, self._port)

    def close(self) -> None:
        """Close the idle connections."""
        for _, writer in self._idle:
            writer.close()
