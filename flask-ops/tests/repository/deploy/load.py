"""Clients that send requests to a proxy all the time, and count the results."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from tests.process import wait_until
from tests.repository.deploy.proxies import Edge, ask
from tests.threads import meanwhile

CLIENTS = 6


@dataclass
class Load:
    """The results so far, by method and status; without a status, the name of the exception."""

    seen: Counter[tuple[str, int | str]] = field(default_factory=Counter)

    def wait_for(self, more: int) -> None:
        """Wait for ``more`` further results."""
        goal = self.seen.total() + more
        wait_until(lambda: self.seen.total() >= goal, f"{more} answers")

    def lost(self) -> dict[tuple[str, int | str], int]:
        """Return the results other than 200."""
        return {what: count for what, count in self.seen.items() if what[1] != 200}


@contextlib.contextmanager
def load(
    edge: Edge, methods: tuple[str, ...], *, repeat: bool = False, new_connections: bool = False
) -> Iterator[Load]:
    """Run clients during the block. Each sends ``methods`` in turn, on one connection for as long as it lasts.

    With ``new_connections``, half of the clients open a new one for each request. With ``repeat``, clients use a right
    that RFC 9110, section 9.2.2, gives them. If a connection that was used before closes without an answer, they send
    an idempotent request again.
    """
    load = Load()
    over = threading.Event()
    lock = threading.Lock()

    def client(keeps: bool) -> None:
        connection, used = edge.connect(), False
        while not over.is_set():
            for method in methods:
                for attempt in (1, 2):
                    result: int | str
                    try:
                        result = ask(connection, method, "/slow?s=0.03", body=b"x" if method == "POST" else None).status
                        used = True
                    except (OSError, http.client.HTTPException) as error:
                        result = type(error).__name__
                        again = repeat and used and attempt == 1 and method != "POST"
                        connection.close()
                        connection, used = edge.connect(), False
                        if again:
                            continue
                    break
                with lock:
                    load.seen[method, result] += 1
                if not keeps:
                    connection.close()
                    connection, used = edge.connect(), False
        connection.close()

    with meanwhile([partial(client, keeps) for keeps in (True, not new_connections)] * (CLIENTS // 2), over):
        yield load
