"""Slow clients of each proxy in `deploy/`: each costs the proxy one connection, and the service nothing."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.exposition import value
from tests.process import DEADLINE, wait_until
from tests.programs import require
from tests.repository.deploy.proxies import NAME, PROXIES, Site, ask, site

SLOW = int(os.environ.get("SLOW_CLIENTS", "300"))
"""The number of slow clients of each kind."""
MORE = 10
"""Additional clients: slowhttptest also counts its own probes, and connections that it fails to open."""
HOST = "127.0.0.1"
"""A name that slowhttptest can resolve."""
REQUESTS = 50
LARGE = 900_000
"""The size of a body, more than all buffers of a connection hold."""


@contextlib.contextmanager
def slowhttptest(running_site: Site, directory: Path, kind: str, arguments: Sequence[str] = ()) -> Iterator[None]:
    """Run slow clients that send ten bytes every two seconds."""
    sizes = ("-c", f"{SLOW + MORE}", "-r", f"{SLOW + MORE}", "-i", "2", "-x", "10", "-l", "60")
    url = f"https://{HOST}:{running_site.edge.port}/upload"
    log = directory / f"slowhttptest{kind}"
    with log.open("wb") as output:
        clients = subprocess.Popen(
            [require("slowhttptest"), kind, *sizes, *arguments, "-u", url],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            yield
        except BaseException as error:
            error.add_note(f"--- slowhttptest {kind} wrote:\n{log.read_text(errors='backslashreplace')[-2000:]}")
            raise
        finally:
            clients.kill()
            clients.wait(DEADLINE)


def in_flight(running_site: Site) -> float:
    """Return the number of requests that the instances serve."""
    texts = [instance.server.manage("/metrics").body.decode() for instance in running_site.instances]
    return sum(value(text, "service_requests_in_flight") for text in texts)


def assert_others_are_served(running_site: Site, slow: int, *, may_close: bool = False) -> None:
    """Send requests while ``slow`` slow clients stay connected, on a connection that the proxy ``may_close``."""
    with closing(running_site.edge.connect()) as connection:
        statuses = [ask(connection, "GET", "/whoami", {"Host": HOST}).status]
        for _ in range(1, REQUESTS):
            try:
                answer = ask(connection, "GET", "/whoami", {"Host": HOST})
            except http.client.RemoteDisconnected:
                if not may_close:
                    raise
                # A client then opens another one (RFC 9112, 9.3.1), and so does http.client.
                answer = ask(connection, "GET", "/whoami", {"Host": HOST})
            statuses.append(answer.status)

    assert [200] * REQUESTS == statuses
    wait_until(lambda: in_flight(running_site) == 0, "instances that serve no slow client")
    assert running_site.edge.connections() >= slow


@pytest.mark.parametrize("name", list(PROXIES))
def test_slow_and_stalled_clients_leave_others_unharmed(name: str, tmp_path: Path) -> None:
    with site(name, tmp_path, changes={NAME: HOST}) as running:
        with (
            slowhttptest(running, tmp_path, "-H"),
            slowhttptest(running, tmp_path, "-B", ("-s", f"{LARGE}")),
        ):
            wait_until(lambda: running.edge.connections() >= 2 * SLOW + MORE, f"{2 * SLOW} slow clients")
            # Apache closes kept connections while all its threads are busy, until it has started more of them.
            assert_others_are_served(running, 2 * SLOW, may_close=name == "apache")
        wait_until(lambda: running.edge.connections() == 0, "the end of the slow clients")

        assert_stalled_bodies_harm_nobody(running, f"Content-Length: {LARGE + 1}", b"x" * LARGE)
        if name != "apache":  # it refuses them
            chunk = f"{LARGE:x}\r\n".encode() + b"x" * LARGE
            assert_stalled_bodies_harm_nobody(running, "Transfer-Encoding: chunked", chunk)


def assert_stalled_bodies_harm_nobody(running_site: Site, framing: str, body: bytes) -> None:
    """Send all of ``body`` except its end, from more clients than the instances have threads."""
    stalled = 2 * sum(
        int(value(instance.server.manage("/metrics").body.decode(), "service_worker_threads"))
        for instance in running_site.instances
    )
    head = f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\n{framing}\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(stalled):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", running_site.edge.port), DEADLINE))
            tls = stack.enter_context(running_site.edge.context.wrap_socket(client, server_hostname=NAME))
            tls.sendall(head.encode() + body)

        assert_others_are_served(running_site, stalled)
    wait_until(lambda: running_site.edge.connections() == 0, f"the end of the clients with {framing}")
