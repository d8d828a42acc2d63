"""Clients that send requests without end, and count their answers."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from tests.connections import connected
from tests.process import DEADLINE, Server, wait_until
from tests.threads import meanwhile

FRESH_SECONDS = 1.0
"""How long a client keeps an unused connection, in seconds; a worker that ends closes it after two."""

PAUSES = (0.0, 0.5)
"""Seconds between the requests of a client, in turn."""

Seen = Counter[int | str]
"""Answers by status; without an answer, the name of the exception."""


def ask(
    server: Server, seen: Seen, over: threading.Event, path: str, pauses: Sequence[float], *, keep_alive: bool
) -> None:
    """Send requests until the test is over, or until the server no longer listens."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    answered = time.monotonic()
    next_pause = itertools.cycle(pauses)
    with contextlib.closing(connection):
        while not over.wait(next(next_pause)):
            if not keep_alive or time.monotonic() - answered > FRESH_SECONDS:
                connection.close()
            try:
                connection.request("GET", path, headers={} if keep_alive else {"Connection": "close"})
                with connection.getresponse() as response:
                    response.read()
                    seen[response.status] += 1
            except ConnectionRefusedError:
                return
            except (OSError, http.client.HTTPException) as error:
                seen[type(error).__name__] += 1
                connection.close()
            answered = time.monotonic()


@contextmanager
def load(server: Server, *paths: str, pauses: Sequence[float] = PAUSES) -> Iterator[Seen]:
    """Run clients during the block, beside idle connections. After it, the results of the clients are complete."""
    each: list[Seen] = []
    over = threading.Event()
    clients = []
    for path, keep_alive in itertools.product(paths, [True, False, True, False]):
        each.append(Counter())
        clients.append(partial(ask, server, each[-1], over, path, pauses, keep_alive=keep_alive))
    seen: Seen = Counter()
    with connected(server, 20), connected(server, 20, silent=True), meanwhile(clients, over):
        wait_until(lambda: all(each), "each client has an answer")
        yield seen
    for counter in each:
        seen.update(counter)
