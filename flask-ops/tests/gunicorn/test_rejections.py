"""Requests that Gunicorn itself refuses have a line and a count, which do not quote the client."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from gunicorn.http import errors
from hypothesis import given
from hypothesis import strategies as st

from flask_ops.servers.gunicorn.logger import REASONS, report
from tests.attach.servers import JOURNAL, attached, metric
from tests.connections import send
from tests.exposition import value
from tests.fuzzing import fuzzed
from tests.process import Server, wait_until
from tests.servers import serve

SECRET = b"hunter2"
LONG = b"x" * 9000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve("gunicorn", tmp_path_factory.mktemp("rejections")) as running_server:
        yield running_server


def counts(server: Server) -> dict[str, float]:
    text = server.manage("/metrics").body.decode()
    return {reason: value(text, "service_requests_rejected_total", reason=reason) for reason in REASONS}


REJECTED = [
    (b"GET /?password=hunter2 HTTP/1.1 hunter2\r\n\r\n", "version", 400),
    (b"nonsense\r\n\r\n", "request_line", 400),
    (b"ge:t /?token=hunter2 HTTP/1.1\r\n\r\n", "method", 400),
    (b"GET / HTTP/7.1\r\n\r\n", "version", 400),
    (b"GET / HTTP/1.1\r\nAuthorization hunter2\r\n\r\n", "header", 400),
    (b"GET / HTTP/1.1\r\nA\x00uthorization: hunter2\r\n\r\n", "header", 400),
    (b"GET / HTTP/1.1\r\nContent-Length: -1\r\nCookie: hunter2\r\n\r\n", "header", 400),
    (b"GET / HTTP/1.1\r\nA: b\r\n folded: hunter2\r\n\r\n", "header", 400),
    (b"GET /%b?token=hunter2 HTTP/1.1\r\n\r\n" % LONG, "uri_too_long", 414),
    (b"GET / HTTP/1.1\r\nCookie: %b\r\n\r\n" % LONG, "headers_too_large", 431),
    (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", "headers_too_large", 431),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: nonsense\r\n\r\n", "transfer_coding", 501),
    (b"GET / HTTP/1.1\r\nExpect: hunter2\r\n\r\n", "expectation", 417),
]


@pytest.mark.system
def test_each_refusal_is_one_line_and_one_count_and_quotes_nothing(server: Server) -> None:
    text = server.manage("/metrics").body.decode()
    assert [] == [reason for reason in REASONS if f'service_requests_rejected_total{{reason="{reason}"}}' not in text]

    for data, reason, status in REJECTED:
        before, written = counts(server), len(server.text())
        assert re.match(rb"HTTP/1.1 %d " % status, send(server.port, data))
        expected = {**before, reason: before[reason] + 1}

        wait_until(lambda: counts(server) == expected, f"one more {reason}")  # noqa: B023 - called at once
        wait_until(lambda: "request rejected" in server.text()[written:], "the line")  # noqa: B023 - called at once
        text = server.text()[written:]
        (line,) = [line for line in map(json.loads, text.splitlines()) if line["level"] not in {"debug", "info"}]
        fields = {
            "level": "warning",
            "event": "request rejected",
            "reason": reason,
            "status": status,
            "client": "127.0.0.1",
        }
        assert fields == {name: line[name] for name in fields}
        assert SECRET.decode() not in text

    # Nor is a client quoted that leaves early.
    send(server.port, b"GET / HTTP/1.1\r\nAuthorization: hunter2\r\n")
    wait_until(lambda: server.lines("Ignored premature client disconnection."), "the line at debug")
    assert SECRET.decode() not in server.text()


@pytest.mark.parametrize("error", [errors.ParseException(), errors.ConfigurationProblem("x"), ValueError()])
def test_what_is_not_known_has_a_reason_too(error: Exception) -> None:
    report(error, "127.0.0.1")


PARTS = (
    *(b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\r\n\r\n", b"Host: x", b":", b"Content-Length: 5", b"%ff", b"?"),
    *(b"Transfer-Encoding: chunked", b"traceparent: ", b"X-Request-ID: ", b"GET / HTTP/1.1\r\n", b"User-Agent: "),
)
HEADS = st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=30)), max_size=12).map(b"".join)
GOOD = st.tuples(st.binary(max_size=30), st.binary(max_size=30)).map(
    lambda parts: (
        b"GET /"
        + quote_from_bytes(parts[0]).encode()
        + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: "
        + re.sub(rb"[\x00-\x1f\x7f]", b"", parts[1])
        + b"\r\nConnection: close\r\n\r\n"
    )
)


@fuzzed
@given(HEADS)
@pytest.mark.system
def test_bytes_that_are_valid_or_not_are_answered_or_refused(server: Server, data: bytes) -> None:
    answer = send(server.port, data)

    assert not answer or re.match(rb"HTTP/1.1 (2|4|501)", answer)


@fuzzed
@given(GOOD)
def test_a_valid_request_is_served_whatever_its_path_and_user_agent_are(server: Server, data: bytes) -> None:
    assert re.match(rb"HTTP/1.1 (200|404) ", send(server.port, data))


def test_after_all_that_it_serves_and_every_line_was_valid(server: Server) -> None:
    assert 404 == server.get("/nope", {"X-Request-ID": "the-last-one"}).status
    server.line("request", request_id="the-last-one")

    for line in server.output.read_bytes().decode().split("\n")[:-1]:  # strict decoding: invalid UTF-8 raises
        fields: dict[str, Any] = json.loads(line)
        assert fields["level"] in {"debug", "info", "warning"}, line
        assert isinstance(fields["event"], str)


def test_a_path_outside_script_name_has_the_status_that_its_client_got(tmp_path: Path) -> None:
    with attached(JOURNAL, tmp_path, env={"SCRIPT_NAME": "/app"}) as server:
        assert server.get("/app/").status == 200
        assert server.get("/").status == 500
        line = server.line("request rejected")
        assert (line["reason"], line["status"]) == ("script_name", 500)
        assert metric(server, "service_requests_rejected_total", reason="script_name") == 1
        assert server.manage("/readyz").status == 200
