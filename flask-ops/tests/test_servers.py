"""Behaviour that is the same under every server of the README."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.exposition import scrape, value
from tests.process import BIN, DEADLINE, Answer, Server, running, started, wait_until
from tests.servers import COMMANDS, PROCESSES, serve

pytestmark = pytest.mark.system


@pytest.fixture(params=list(COMMANDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(name: str, tmp_path: Path) -> Iterator[Server]:
    with serve(name, tmp_path) as running_server:
        yield running_server


def test_metrics_are_the_sum_over_all_processes_whichever_answers(server: Server, name: str) -> None:
    """The metrics of an adopter are summed as well, and two threads that open a series at once lose no count."""
    barrier = threading.Barrier(16)

    def first(_: int) -> Answer:
        barrier.wait(DEADLINE)
        return server.get("/items/1")

    pids: set[int] = set()
    asked = 0

    def ask_all_processes() -> bool:
        nonlocal asked
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: server.get("/whoami"), range(40)))
        asked += 40
        pids.update(answer.json()["pid"] for answer in answers)
        return len(pids) == PROCESSES[name]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(first, range(16)))
        list(pool.map(lambda _: server.get("/greet"), range(40)))
    wait_until(ask_all_processes, f"{PROCESSES[name]} processes answer")

    # A request is counted when it is over, just after the client has the answer.
    expected = {"/items/<int:number>": 16, "/greet": 40, "/whoami": asked}
    for route, count in expected.items():
        wait_until(partial(has_lines, server, route, count), f"all requests of {route} are over")
    for _ in range(10):
        text = scrape(server)
        for route, count in expected.items():
            assert count == value(text, "flask_http_request_total", route=route, status="200"), route
            assert count == value(text, "flask_http_request_duration_seconds_count", route=route), route
        assert (40, 40) == (value(text, "sample_greetings_total"), value(text, "sample_greeted_total"))


def has_lines(server: Server, route: str, count: int) -> bool:
    return len(server.lines("request", route=route, status=200)) == count


@pytest.mark.parametrize("master", [["--master"], []])
def test_metrics_are_summed_under_uwsgi_with_lazy_apps_too(master: list[str], tmp_path: Path) -> None:
    """With lazy-apps, each process loads the application, and must find the others' store."""
    application = ["--module", "tests.uwsgi_sample:application", "--processes", "2", "--lazy-apps"]
    with running([BIN / "uwsgi", "--http", "127.0.0.1:0", *application, *master], tmp_path) as server:
        pids: Counter[int] = Counter()

        def ask() -> bool:
            with ThreadPoolExecutor(8) as pool:
                pids.update(answer.json()["pid"] for answer in pool.map(lambda _: server.get("/whoami"), range(40)))
            return len(pids) == 2

        wait_until(ask, "both processes answer")
        wait_until(
            lambda: value(scrape(server), "flask_http_request_total", route="/whoami") == pids.total(), "the sum"
        )


def test_sigterm_lets_requests_in_flight_finish_and_leaves_nothing_behind(
    server: Server, name: str, tmp_path: Path
) -> None:
    """Each process has four threads."""
    at_once = PROCESSES[name] * 4
    children = server.children()
    with ThreadPoolExecutor(at_once) as pool:
        requests = [pool.submit(server.get, "/slow?s=1.5") for _ in range(at_once)]
        wait_until(lambda: len(server.lines("slow view")) == at_once, "all requests are being served")
        code = server.stop(signal.SIGTERM)
        answers = [request.result(DEADLINE) for request in requests]

    assert [200] * at_once == [answer.status for answer in answers]
    assert code == 0
    assert at_once == len(server.lines("request", route="/slow", status=200))
    wait_until(lambda: not any(child.is_running() for child in children), "all processes end")
    assert [] == list((tmp_path / "tmp").iterdir())


FORWARDED = {
    "Host": "localhost",
    "X-Forwarded-For": "192.0.2.1, 192.0.2.2, 192.0.2.3",
    "X-Forwarded-Proto": "https, https, https",
    "X-Forwarded-Host": "a.example, b.example, c.example",
}


def assert_client(client: str, scheme: str, host: str, server: Server) -> None:
    """Send FORWARDED, and compare the client that a view sees and the client of the request's line."""
    seen = server.get("/whoami", FORWARDED).json()

    assert (client, scheme, host) == (seen["client"], seen["scheme"], seen["host"])
    assert client == server.line("request", route="/whoami")["client"]


def test_every_line_is_json_but_what_uwsgi_itself_writes(server: Server, name: str) -> None:
    """By default, no proxy is trusted."""
    assert_client("127.0.0.1", "http", "localhost", server)
    for path in ("/", "/boom", "/stream-boom", "/exit", "/log", "/bad-header", "/nope"):
        with contextlib.suppress(http.client.IncompleteRead, ConnectionResetError):  # /stream-boom
            server.get(path)
    server.stop(signal.SIGTERM)

    for line in server.text().splitlines():
        if name == "uwsgi" and not line.startswith("{"):
            assert "Traceback" not in line
            continue
        fields = json.loads(line)
        assert {"timestamp", "level", "event", "service"} <= set(fields)


@pytest.mark.parametrize(("proxies", "client", "host"), [(1, "192.0.2.3", "c.example"), (2, "192.0.2.2", "b.example")])
def test_forwarded_headers_count_as_far_as_proxies_are_trusted(
    name: str, proxies: int, client: str, host: str, tmp_path: Path
) -> None:
    trust = {"SERVICE_TRUSTED_PROXIES": str(proxies), "SERVICE_TRUSTED_HOST_PROXIES": str(proxies)}
    with serve(name, tmp_path, trust) as server:
        assert_client(client, "https", host, server)


def test_a_clients_x_forwarded_host_is_not_trusted_if_a_proxy_passes_it_on(tmp_path: Path) -> None:
    """Load balancers that know only `X-Forwarded-For` and `-Proto` do this."""
    with serve("gunicorn", tmp_path, {"SERVICE_TRUSTED_PROXIES": "1"}) as server:
        forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "evil.example", "Host": "service.example"}
        seen = server.get("/whoami", forged).json()

    assert ("192.0.2.1", "service.example") == (seen["client"], seen["host"])


def test_unix_sockets_have_their_modes_whatever_the_umask(name: str, tmp_path: Path) -> None:
    """A proxy with another user reaches the application, but not the management address."""
    modes = {tmp_path / "application": 0o666, tmp_path / "management": 0o600}
    binds = dict(zip(("SERVICE_BIND", "SERVICE_MANAGEMENT_BIND"), (f"unix:{path}" for path in modes), strict=True))
    for umask in ("0", "077"):
        under = ["sh", "-c", f'umask {umask}; exec "$@"', "sh"]
        with started([*under, *COMMANDS[name]], tmp_path, {**binds, "WEB_CONCURRENCY": "1"}):
            for path, mode in modes.items():
                wait_until(lambda: _answers(path), f"{path} answers")  # noqa: B023 - called at once
                assert mode == stat.S_IMODE(path.stat().st_mode)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(FileNotFoundError, ConnectionError):
        client.settimeout(DEADLINE)
        client.connect(str(path))
        client.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        return b" 200 " in client.recv(1000)
    return False
