"""The management listener refuses each request that Gunicorn refuses on the application's port."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request as GunicornRequest
from gunicorn.http.unreader import IterUnreader
from hypothesis import given
from hypothesis import strategies as st

from flask_ops.core.http import Request
from flask_ops.management.request_parser import RefusedError, RequestParser
from tests.connections import send
from tests.fuzzing import fuzzed
from tests.process import Server, wait_until
from tests.servers import serve


def head(*lines: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in (*lines, b""))


def put(*lines: bytes, path: bytes = b"/echo") -> bytes:
    return head(b"PUT %b HTTP/1.1" % path, b"Host: localhost", *lines)


TOO_LONG = b"x" * 9000
INVALID: dict[str, bytes] = {
    "two lengths": put(b"Content-Length: 3", b"Content-Length: 3") + b"abc",
    "two lengths in one field": put(b"Content-Length: 0, 0"),
    "a length and a coding": put(b"Content-Length: 3", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "a coding and a length": put(b"Transfer-Encoding: chunked", b"Content-Length: 0") + b"0\r\n\r\n",
    "a length with a sign": put(b"Content-Length: +3") + b"abc",
    "a negative length": put(b"Content-Length: -3"),
    "a hexadecimal length": put(b"Content-Length: 0x3") + b"abc",
    "an empty length": put(b"Content-Length:"),
    "a length in other digits": put("Content-Length: ³".encode("latin-1")) + b"abc",
    "two codings": put(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "two fields of codings": put(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "an unknown coding": put(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "a coding with a tab inside": put(b"Transfer-Encoding: chun\tked") + b"0\r\n\r\n",
    "a coding without chunked": put(b"Transfer-Encoding: gzip") + b"abc",
    "a coding after chunked": put(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "chunked HTTP/1.0": head(b"PUT /echo HTTP/1.0", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "a folded line": put(b"X-Long: a", b" b"),
    "a line folded with a tab": put(b"X-Long: a", b"\tb"),
    "a folded first field": head(b"GET / HTTP/1.1", b" Host: localhost"),
    "a space before the colon": put(b"Content-Length : 0"),
    "a tab before the colon": put(b"X-Name\t: 0"),
    "a space in a name": put(b"X Name: 0"),
    "a name with a slash": put(b"X/Name: 0"),
    "a name that is not ASCII": put("X-Näme: 0".encode("latin-1")),
    "an empty name": put(b": 0"),
    "a line without a colon": put(b"X-Name"),
    "a null in a value": put(b"X-Name: a\0b"),
    "an escape in a value": put(b"X-Name: a\x1b[2Jb"),
    "DEL in a value": put(b"X-Name: a\x7fb"),
    "a bare CR in a value": put(b"X-Name: a\rContent-Length: 3"),
    "a CR at the end of a value": put(b"X-Name: a\r"),
    "a vertical tab in a value": put(b"X-Name: a\x0b"),
    "a null in a name": put(b"X-\0Name: a"),
    "a bare LF in the head": b"GET / HTTP/1.1\nHost: localhost\r\n\r\n",
    "a bare LF in a field": put(b"X-Name: a\nX-Other: b"),
    "bare LFs only": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "a bare LF at the end": b"GET / HTTP/1.1\r\nHost: localhost\r\n\n",
    "HTTP/2.0": head(b"GET / HTTP/2.0", b"Host: localhost"),
    "HTTP/0.9": head(b"GET / HTTP/0.9", b"Host: localhost"),
    "HTTP/1.10": head(b"GET / HTTP/1.10", b"Host: localhost"),
    "HTTP/1": head(b"GET / HTTP/1", b"Host: localhost"),
    "http in small letters": head(b"GET / http/1.1", b"Host: localhost"),
    "another protocol": head(b"GET / ICAP/1.0", b"Host: localhost"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": head(b"GET /", b"Host: localhost"),
    "a word after the version": head(b"GET / HTTP/1.1 x", b"Host: localhost"),
    "two spaces": head(b"GET  / HTTP/1.1", b"Host: localhost"),
    "a tab between the parts": head(b"GET\t/ HTTP/1.1", b"Host: localhost"),
    "a space before the method": head(b" GET / HTTP/1.1", b"Host: localhost"),
    "a method in small letters": head(b"get / HTTP/1.1", b"Host: localhost"),
    "a method with a colon": head(b"GE:T / HTTP/1.1", b"Host: localhost"),
    "a method of two letters": head(b"GE / HTTP/1.1", b"Host: localhost"),
    "a long method": head(b"G" * 21 + b" / HTTP/1.1", b"Host: localhost"),
    "a target that is not ASCII": head("GET /ä HTTP/1.1".encode(), b"Host: localhost"),
    "a relative target": head(b"GET livez HTTP/1.1", b"Host: localhost"),
    "an authority as target": head(b"GET localhost:80 HTTP/1.1", b"Host: localhost"),
    "a star for another method than OPTIONS": head(b"GET * HTTP/1.1", b"Host: localhost"),
    "two empty lines before the request": b"\r\n\r\n" + put(),
    "two hosts": put(b"Host: localhost"),
    "two content types": put(b"Content-Type: a/b", b"content-type: a/c"),
    "an unknown expectation": put(b"Expect: 200-ok"),
    "a long request line": put(path=b"/" + TOO_LONG),
    "a long field": put(b"X-Long: " + TOO_LONG),
    "too many fields": put(*[b"X-Name: a"] * 200),
}
VALID: dict[str, tuple[bytes, bytes]] = {
    "a length of zero": (put(b"Content-Length: 0"), b""),
    "a length": (put(b"Content-Length: 3") + b"abc", b"abc"),
    "no spaces around a value": (put(b"Content-Length:3") + b"abc", b"abc"),
    "spaces and tabs around a value": (put(b"Content-Length: \t3 \t") + b"abc", b"abc"),
    "an empty line before the request": (b"\r\n" + put(b"Content-Length: 3") + b"abc", b"abc"),
    "a value that is not ASCII": (put("X-Name: ä".encode()), b""),
    "the absolute form": (put(path=b"http://localhost/echo"), b""),
    "HTTP/1.0 without a host": (head(b"PUT /echo HTTP/1.0", b"Content-Length: 3") + b"abc", b"abc"),
    "100 fields": (put(*[b"X-Name: a"] * 99), b""),
}


def parsed(data: bytes, step: int = 1 << 20) -> Request | RefusedError | None:
    """Return the request, the error, or None for a request that is not complete. ``step`` bytes arrive at a time."""
    parser = RequestParser()
    for begin in range(0, len(data), step):
        parser.receive(data[begin : begin + step])
        try:
            request = parser.next()
        except RefusedError as error:
            return error
        if request is not None:
            return request
    return None


def body_for_gunicorn(data: bytes) -> bytes | None:
    """Return the body that Gunicorn reads, None if it refuses the request or needs more bytes."""
    try:
        body: Any = GunicornRequest(Config(), IterUnreader([data]), ("127.0.0.1", 4711)).body
        return bytes(body.read())
    except (ParseException, OSError, StopIteration):
        return None


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_request_is_refused_with_a_reason(case: str) -> None:
    data = INVALID[case]
    assert body_for_gunicorn(data) is None, "Gunicorn accepts it"
    for step in (1 << 20, 1):
        refused = parsed(data, step)
        assert isinstance(refused, RefusedError)
        assert 400 <= refused.status < 600
        assert str(refused).endswith((".", "?"))


@pytest.mark.parametrize("case", VALID)
def test_a_valid_request_is_read_as_gunicorn_reads_it(case: str) -> None:
    data, body = VALID[case]
    assert body == body_for_gunicorn(data)
    for step in (1 << 20, 1):
        request = parsed(data, step)
        assert isinstance(request, Request), request
        assert ("PUT", "/echo", body) == (request.method, request.path, request.body)


def test_the_host_of_an_absolute_target_counts() -> None:
    for target, host, path in [
        (b"http://localhost/a?b", "localhost", "/a"),
        (b"HTTPS://LOCALHOST:8001", "LOCALHOST:8001", "/"),
        (b"http://[::1]?b", "[::1]", "/"),
    ]:
        request = parsed(head(b"GET %b HTTP/1.1" % target, b"Host: other"))
        assert isinstance(request, Request)
        assert (host, path) == (request.headers["host"], request.path)


def test_an_invalid_host_is_refused() -> None:
    for host in (b"a b", b"a/b", b"user@a", b"[::1", b"a:b", b"http://a", b"a\\b"):
        refused = parsed(head(b"GET / HTTP/1.1", b"Host: " + host))
        assert isinstance(refused, RefusedError)
        assert str(refused).startswith("Expected a Host like")


PIECES = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\0", b":", b";", b",", b"0", b"3", b"abc", b"=", b'"'),
        *(b"GET", b"PUT", b"/", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"Host: a", b"\xff", b"%0a", b"?", b"*"),
        *(b"Content-Length: 3", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"chunked", b"gzip", b"identity"),
        *(b"Expect: 100-continue", b"3\r\nabc\r\n", b"0\r\n\r\n", b"Content-Type: a/b", b"X_Y: 1"),
    ]
)
START = st.sampled_from([data for data, _ in VALID.values()] + list(INVALID.values()))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a request of the tables with some bytes replaced."""
    data = draw(START)
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        data = data[:begin] + draw(PIECES) + data[begin + draw(st.integers(0, 3)) :]
    return data


@fuzzed
@given(mutated())
def test_what_gunicorn_refuses_is_refused_and_bodies_are_the_same(data: bytes) -> None:
    found = parsed(data)
    if isinstance(found, Request):
        assert found.body == body_for_gunicorn(data)
    in_parts = parsed(data, 7)
    assert type(found) is type(in_parts)
    if isinstance(found, Request) and isinstance(in_parts, Request):
        assert (found.headers, found.body) == (in_parts.headers, in_parts.body)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve("gunicorn", tmp_path_factory.mktemp("strict"), ready="/readyz") as running_server:
        yield running_server


def exchange(port: int, data: bytes) -> bytes:
    """Send ``data`` and a second request. Return all that comes until the server closes."""
    return send(port, data + put(b"Content-Length: 0"))


@pytest.mark.system
def test_both_ports_refuse_each_invalid_request_and_close_the_connection(server: Server) -> None:
    for case, data in INVALID.items():
        for port in (server.port, server.management_port):
            answer = exchange(port, data.replace(b"PUT /echo", b"POST /upload"))
            assert re.findall(rb"HTTP/1.1 (\d)\d\d ", answer) in ([b"4"], [b"5"]), (case, port == server.port, answer)
        assert b"\r\nConnection: close\r\n" in answer, case
        problem = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert problem["detail"], case
    wait_until(lambda: server.manage("/readyz").status == 200, "still there")
