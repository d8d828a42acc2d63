"""Each request is one line and one observation, under every server and for every ending."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flask_ops.core.settings import Settings
from tests.exposition import scrape, value
from tests.process import Answer, Server, wait_until
from tests.servers import COMMANDS, serve

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", params=list(COMMANDS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(request.param, tmp_path_factory.mktemp(request.param), ready="/readyz") as running_server:
        yield running_server


class Asked:
    """A request, the client's result, and the log's outcome."""

    def __init__(self, server: Server, method: str, path: str, **headers: str) -> None:
        self.server = server
        self.request_id = str(uuid.uuid4())
        self.before = scrape(server)
        self.answer: Answer | None = None
        with contextlib.suppress(http.client.HTTPException, ConnectionError):  # the server broke the answer off
            self.answer = server.request(method, path, {"X-Request-ID": self.request_id, **headers})

    def line(self) -> dict[str, Any]:
        return self.server.line("request", request_id=self.request_id)

    def observed(self, **labels: str) -> tuple[float, float, float]:
        """Return the growth of the series' count, duration count and exceptions."""
        after = scrape(self.server)
        names = (
            "flask_http_request_total",
            "flask_http_request_duration_seconds_count",
            "flask_http_request_exceptions_total",
        )
        total, count, exceptions = (value(after, name, **labels) - value(self.before, name, **labels) for name in names)
        return total, count, exceptions


@pytest.mark.parametrize(
    ("method", "path", "route", "status", "level"),
    [
        ("GET", "/", "/", 200, "info"),
        ("HEAD", "/", "/", 200, "info"),
        ("GET", "/items/7", "/items/<int:number>", 200, "info"),
        ("PUT", "/items/7", "/items/<int:number>", 200, "info"),
        ("GET", "/empty", "/empty", 204, "info"),
        ("GET", "/stream", "/stream", 200, "info"),
        ("GET", "/away", "/away", 302, "info"),
        ("GET", "/healthz", "/healthz", 200, "debug"),
        ("HEAD", "/readyz", "/readyz", 200, "debug"),
        ("GET", "/no/such/page", "unmatched", 404, "info"),
        ("DELETE", "/", "unmatched", 405, "info"),
        ("GET", "/teapot", "/teapot", 418, "info"),
    ],
)
@pytest.mark.system
def test_a_plain_request_is_one_line_and_one_observation(
    server: Server, method: str, path: str, route: str, status: int, level: str
) -> None:
    asked = Asked(server, method, path)

    assert asked.answer is not None
    assert status == asked.answer.status
    line = asked.line()
    assert (method, path, route, status) == (line["method"], line["path"], line["route"], line["status"])
    assert level == line["level"]
    assert len(asked.answer.body) == line["bytes"]
    assert "outcome" not in line
    assert asked.observed(method=method, route=route, status=str(status)) == (1, 1, 0)


@pytest.mark.parametrize("path", ["/boom", "/exit", "/cancel", "/interrupt", "/bad-header", "/stream-boom-at-once"])
def test_an_exception_before_the_first_byte_is_a_500_told_once(server: Server, path: str) -> None:
    asked = Asked(server, "GET", path)

    assert asked.answer is not None
    assert asked.answer.status == 500
    assert asked.answer.headers.get_all("Content-Type") == ["application/problem+json"]
    problem = asked.answer.json()
    assert asked.request_id == problem["request_id"]
    assert {"type", "title", "status", "detail", "request_id"} == set(problem)
    line = asked.line()
    assert ("error", path, 500, "exception") == (line["level"], line["route"], line["status"], line["outcome"])
    assert len(asked.answer.body) == line["bytes"]
    told = server.line("unhandled exception", request_id=asked.request_id)
    assert told["exception"][-1]["frames"]
    if path == "/stream-boom-at-once":
        assert asked.answer.headers["Access-Control-Allow-Origin"] == "*"
        assert asked.answer.headers["Content-Security-Policy"] == "default-src 'self'"
        assert not {"ETag", "Content-Disposition"} & {*asked.answer.headers}
    assert "hunter2" not in server.text()
    assert asked.observed(route=path, status="500") == (1, 1, 1)


def test_no_exception_takes_a_worker_down(server: Server) -> None:
    """No thread leaves a request unanswered. The main thread of uWSGI's workers serves, too."""
    before = {child.pid for child in server.children()}

    for path in ("/exit", "/cancel", "/interrupt") * 16:
        assert 500 == server.get(path).status, path
    for _ in range(4):
        Asked(server, "GET", "/stream-exit")

    assert before == {child.pid for child in server.children()}


@pytest.mark.parametrize("path", ["/stream-boom", "/stream-exit"])
def test_a_failure_in_mid_stream_is_a_500_though_200_was_sent(server: Server, path: str) -> None:
    before = server.text().count("in the middle")
    asked = Asked(server, "GET", path)

    assert asked.answer is None  # the client notices that it is incomplete
    line = asked.line()
    assert (line["level"], line["status"], line["status_sent"], line["outcome"]) == ("error", 500, 200, "exception")
    assert line["bytes"] == 4
    server.line("unhandled exception", request_id=asked.request_id)
    assert before + (path == "/stream-boom") == server.text().count("in the middle")  # its traceback, once
    assert asked.observed(route=path, status="500") == (1, 1, 1)


def test_a_client_that_goes_away_in_mid_stream_is_a_warning(server: Server) -> None:
    before = scrape(server)
    request_id = ask_and_reset(server, "/stream-endless")

    line = server.line("request", request_id=request_id)
    assert (line["level"], line["outcome"]) == ("warning", "client_disconnected")
    assert (line["status"], line["status_sent"]) == (499, 200)
    labels = {"route": "/stream-endless", "status": "499"}
    name = "flask_http_request_total"
    assert value(before, name, **labels) + 1 == value(scrape(server), name, **labels)


def test_a_file_is_sent_whole_and_its_bytes_are_counted(server: Server, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)

    asked = Asked(server, "GET", f"/file?path={tmp_path / 'file'}")

    assert asked.answer is not None
    assert content == asked.answer.body
    line = asked.line()
    assert (line["status"], line["bytes"], line["route"]) == (200, 300_000, "/file")
    assert "outcome" not in line
    assert asked.observed(route="/file", status="200") == (1, 1, 0)


def test_a_file_that_the_client_does_not_wait_for_is_a_warning(server: Server, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200_000_000)

    request_id = ask_and_reset(server, f"/file?path={tmp_path / 'large'}")

    line = server.line("request", request_id=request_id)
    if "uWSGI" in server.text():
        assert line["status"] == 200  # uWSGI does not report it
        return
    assert (line["level"], line["status"], line["outcome"]) == ("warning", 499, "client_disconnected")
    assert line["bytes"] < 200_000_000


def test_a_range_of_a_file_counts_its_own_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")

    asked = Asked(server, "GET", f"/file?path={tmp_path / 'file'}", Range="bytes=2-4")

    assert asked.answer is not None
    assert (asked.answer.status, asked.answer.body) == (206, b"234")
    assert (asked.line()["status"], asked.line()["bytes"]) == (206, 3)


@pytest.mark.system
def test_a_file_is_still_sent_with_sendfile(server: Server, tmp_path: Path) -> None:
    """The file's bytes do not pass through Python, so the worker's memory does not grow."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(400_000_000)
    peak = 0

    def sample_memory() -> bool:
        nonlocal peak
        for process in [psutil.Process(server.process.pid), *server.children()]:
            peak = max(peak, process.memory_info().rss)
        return True

    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(f"GET /file?path={tmp_path / 'large'} HTTP/1.0\r\n\r\n".encode())
        received = 0
        while chunk := client.recv(1 << 20):
            received += len(chunk)
            sample_memory()

    assert received > 400_000_000
    assert peak < 250_000_000


def test_methods_that_nobody_defined_are_counted_together(server: Server) -> None:
    before = scrape(server)

    for method in ("BREW", "PROPFIND", "XYZZY"):
        assert server.request(method, "/").status == 405

    name = "flask_http_request_total"
    wait_until(lambda: value(scrape(server), name, method="OTHER") == value(before, name, method="OTHER") + 3, "3 more")
    assert value(scrape(server), name, method="BREW") == 0


def test_the_line_has_the_fields_of_the_readme_and_nothing_secret(server: Server) -> None:
    asked = Asked(
        server,
        "GET",
        "/items/3?token=hunter2",
        Cookie="session=hunter2",
        Authorization="Bearer hunter2",
        **{"User-Agent": "a test"},
    )

    line = asked.line()
    wanted = "timestamp level event service method path route status duration_ms bytes client user_agent request_id"
    assert wanted.split() == [field for field in line if field != "queue_ms"]  # if it had to wait
    assert (
        line["service"],
        line["path"],
        line["client"],
        line["user_agent"],
    ) == (Settings.from_environ({}).name, "/items/3", "127.0.0.1", "a test")
    assert line["timestamp"].endswith("Z")
    assert 0 < line["duration_ms"] < 20_000
    assert "hunter2" not in server.text()


def test_the_request_id_of_the_client_is_taken_over_if_it_is_well_formed(server: Server) -> None:
    for sent, taken in [("abc.DEF_1:2-3", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("a;b", False)]:
        answer = server.get("/", {"X-Request-ID": sent})
        ids = answer.headers.get_all("X-Request-ID")
        assert ids is not None
        assert len(ids) == 1
        assert taken == (sent == ids[0])
        assert server.line("request", request_id=ids[0])["status"] == 200


def test_ids_made_here_are_uuids_in_the_order_of_time(server: Server) -> None:
    ids = [server.get("/").headers["X-Request-ID"] for _ in range(20)]

    assert {7} == {uuid.UUID(one).version for one in ids}
    assert len(set(ids)) == 20
    assert [one[:13] for one in ids] == sorted(one[:13] for one in ids)


def test_traceparent_is_in_the_line_if_it_is_well_formed(server: Server) -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

    good = Asked(server, "GET", "/", traceparent=f"00-{trace}-{span}-01").line()
    bad = Asked(server, "GET", "/", traceparent=f"00-{trace}-{span}").line()

    assert (trace, span) == (good["trace_id"], good["span_id"])
    assert "trace_id" not in bad
    assert bad["status"] == 200


@pytest.mark.system
def test_every_line_logged_meanwhile_has_the_request_id_and_nothing_leaks(server: Server) -> None:
    asked = Asked(server, "GET", "/log")

    foreign = server.line("foreign line", request_id=asked.request_id)
    own = server.line("own line", request_id=asked.request_id)
    assert (foreign["level"], foreign["logger"]) == ("warning", "some.library")
    assert (own["level"], own["answer"]) == ("info", 42)
    assert asked.line()["leak"] == "this request only"
    for _ in range(16):  # more often than there are threads
        assert "leak" not in Asked(server, "GET", "/").line()


@pytest.mark.parametrize("path", ["/%ff%fe", "/%C3%BC", "/%0a%00", "/a%22b%5Cc", "/" + "x" * 3000])
def test_any_path_makes_a_valid_line(server: Server, path: str) -> None:
    asked = Asked(server, "GET", path)

    assert asked.answer is not None
    assert asked.answer.status == 404
    line = asked.line()
    assert line["route"] == "unmatched"
    assert path != "/%C3%BC" or line["path"] == "/ü"


def test_a_body_over_the_limit_is_a_413(server: Server) -> None:
    answer = server.request("POST", "/upload", {"Content-Type": "text/plain"}, body=b"x" * (1024 * 1024 + 1))

    assert answer.status == 413
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.system
def test_a_chunked_body_over_the_limit_is_a_413_and_not_cut_off(server: Server) -> None:
    reads_chunks = "uWSGI" not in server.text()
    for size, status in [(1000, 200), (1024 * 1024 + 1, 413), (3 * 1024 * 1024, 413)]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        with contextlib.closing(connection), contextlib.suppress(ConnectionError):
            connection.request("POST", "/upload", body=iter([b"x" * size]), encode_chunked=True)
            assert (status if reads_chunks else 411) == connection.getresponse().status


def ask_and_reset(server: Server, path: str) -> str:
    """Send a request, read the beginning of its response, and reset the connection."""
    request_id = str(uuid.uuid4())
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nX-Request-ID: {request_id}\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    wait_until(lambda: server.lines("request", request_id=request_id), "the line of the request")
    return request_id
