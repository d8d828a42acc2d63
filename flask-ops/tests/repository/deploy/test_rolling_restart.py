"""Two instances behind HAProxy are restarted one after the other, and no client notices."""

from __future__ import annotations

import http.client
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from observability.programs import free_port
from tests.process import DEADLINE, Server, wait_until
from tests.programs import require
from tests.servers import serve
from tests.threads import meanwhile

ROUNDS = int(os.environ.get("ROUNDS", "2"))
KEEP_ALIVE, SINGLE = 2, 2
"""The number of clients of each kind."""

CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout check 5s
    timeout client 30s
    timeout server 30s
    retries 0
frontend public
    bind 127.0.0.1:{port}
    default_backend service
backend service
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 100ms fall 2 rise 2
{servers}
"""
"""It has no retries, so that lost requests are visible."""


class Instance:
    """A server that restarts on the same port."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name, self._directory = name, directory
        self._starts = 0
        self.port = free_port()
        self._stack = ExitStack()
        self.server: Server | None = None

    def start(self) -> None:
        self._starts += 1
        directory = self._directory / f"{self.port}-{self._starts}"
        directory.mkdir(parents=True)
        bind = f"127.0.0.1:{self.port}"
        env = {"SERVICE_BIND": bind, "SERVICE_DRAIN_SECONDS": "1.5", "SERVICE_LOG_LEVEL": "info"}
        self.server = self._stack.enter_context(serve(self._name, directory, env))
        wait_until(lambda: self.server is not None and self.server.get("/readyz").status == 200, "ready")

    def restart(self) -> None:
        """Restart it, and wait until HAProxy uses it again.

        If the other instance drained as soon as this one is ready, HAProxy would have none. Two checks remove one
        instance in the time in which two checks add the other.
        """
        assert self.server is not None
        assert 0 == self.server.stop()
        assert 0 == self.server.line("stopped")["requests_unfinished"]
        self.start()
        wait_until(partial(self.server.lines, "request", route="/whoami"), "HAProxy asks it again")

    def close(self) -> None:
        self._stack.close()


@contextmanager
def haproxy(directory: Path, instances: Sequence[Instance]) -> Iterator[int]:
    port = free_port()
    servers = "\n".join(f"    server s{instance.port} 127.0.0.1:{instance.port}" for instance in instances)
    file = directory / "haproxy.cfg"
    file.write_text(CONFIGURATION.format(port=port, servers=servers))
    with (directory / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([require("haproxy"), "-db", "-f", file], stdout=log, stderr=log)
    try:
        wait_until(lambda: ask(port) == 200, "HAProxy answers")
        yield port
    finally:
        process.terminate()
        process.wait(DEADLINE)


def ask(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request("GET", "/whoami", headers={"Connection": "close"})
        response = connection.getresponse()
        response.read()
    except OSError:
        return 0
    else:
        return response.status
    finally:
        connection.close()


class Clients:
    """Clients that send requests all the time, on kept and on new connections, and count the results."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[str] = Counter()
        self._port = port
        self._stop = threading.Event()

    def _single(self) -> None:
        while not self._stop.is_set():
            self.answers[str(ask(self._port))] += 1

    def _keep_alive(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        while not self._stop.is_set():
            try:
                connection.request("GET", "/whoami")
                response = connection.getresponse()
                response.read()
                self.answers[str(response.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[type(error).__name__] += 1
                connection.close()
        connection.close()

    @contextmanager
    def asking(self) -> Iterator[None]:
        with meanwhile([self._keep_alive] * KEEP_ALIVE + [self._single] * SINGLE, self._stop):
            yield


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["gunicorn", "waitress"])
def test_restarting_one_after_the_other_loses_no_request(name: str, tmp_path: Path) -> None:
    instances = [Instance(name, tmp_path) for _ in range(2)]
    with ExitStack() as stack:
        for instance in instances:
            stack.callback(instance.close)
            instance.start()
        clients = Clients(stack.enter_context(haproxy(tmp_path, instances)))
        with clients.asking():
            for _ in range(ROUNDS):
                for instance in instances:
                    instance.restart()

    answered = clients.answers.pop("200")
    print(f"{name}: {ROUNDS} rounds, {answered} requests answered, lost: {dict(clients.answers)}")  # noqa: T201 - quoted
    assert not clients.answers
    assert answered > 100 * ROUNDS
