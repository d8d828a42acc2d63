"""Each request of an application that does not use this library has one line and one count."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.attach.answers import HOST
from tests.attach.endpoints import HTTPBIN, SAMPLES, loaded, of_every_rule
from tests.attach.servers import JOURNAL, LOOPBACK, assert_observed, attached
from tests.process import DEADLINE, Server

ROUNDS = 25

Key = tuple[str, str, str]


def ask(server: Server, method: str, path: str) -> None:
    """Send one request; some of the answers end early."""
    with contextlib.suppress(http.client.IncompleteRead):
        server.request(method, path)


def leave(server: Server, path: str) -> None:
    """Read the beginning of an answer, then reset the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


KINDS: list[tuple[Key, Callable[[Server], None]]] = [
    (("GET", "/", "200"), partial(ask, method="GET", path="/")),
    (("HEAD", "/", "200"), partial(ask, method="HEAD", path="/")),
    (("GET", "/odd/stream", "200"), partial(ask, method="GET", path="/odd/stream")),
    (("HEAD", "/odd/stream", "200"), partial(ask, method="HEAD", path="/odd/stream")),
    (("GET", "/odd/file", "200"), partial(ask, method="GET", path="/odd/file")),
    (("GET", "/odd/raise", "500"), partial(ask, method="GET", path="/odd/raise")),
    (("GET", "/odd/exit", "500"), partial(ask, method="GET", path="/odd/exit")),
    (("GET", "/odd/broken-stream", "500"), partial(ask, method="GET", path="/odd/broken-stream")),
    (("GET", "/odd/paper", "507"), partial(ask, method="GET", path="/odd/paper")),
    (("GET", "/create", "302"), partial(ask, method="GET", path="/create")),
    (("GET", "/<int:number>.json", "404"), partial(ask, method="GET", path="/7.json")),
    (("POST", "/odd/upload", "200"), partial(ask, method="POST", path="/odd/upload")),
    (("GET", "/odd/endless", "499"), partial(leave, path="/odd/endless")),
    (("GET", "unmatched", "404"), partial(ask, method="GET", path="/nothing/here")),
    (("DELETE", "unmatched", "405"), partial(ask, method="DELETE", path="/odd/stream")),
]


def test_lines_and_counts_are_exact_over_two_workers(tmp_path: Path) -> None:
    with attached(JOURNAL, tmp_path, [LOOPBACK, "-w", "2"]) as server:
        requests = [*KINDS] * ROUNDS
        random.shuffle(requests)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda request: request[1](server), requests))

        expected = Counter(key for key, _ in requests)
        assert_observed(server, expected)
        outcomes = {line["outcome"] for line in server.lines("request", route="/odd/endless")}
        assert {"client_disconnected"} == outcomes
        assert 2 == len(server.children())  # a view that raises SystemExit ends no worker


def test_each_endpoint_of_httpbin_is_counted_under_its_own_route(tmp_path: Path) -> None:
    routes = loaded("httpbin").url_map.bind(HOST)
    expected: Counter[Key] = Counter()
    with attached(HTTPBIN, tmp_path, [LOOPBACK, "-w", "2"]) as server:
        for request in of_every_rule(loaded("httpbin"), SAMPLES, without=["/drip"]):  # takes two seconds
            rule, _ = routes.match(request.target, request.method, return_rule=True)
            status = server.request(request.method, request.target).status
            expected[request.method, rule.rule, str(status)] += 1

        assert_observed(server, expected)
