"""Our shorter ways through a request and a response have the results of Gunicorn's own."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from hypothesis import given
from hypothesis import strategies as st

from flask_ops.servers.gunicorn.request import Environments, ServiceRequest
from flask_ops.servers.gunicorn.response import ServiceResponse
from tests.fuzzing import fuzzed

CLIENT, SERVER = ("192.0.2.1", 4711), ("127.0.0.1", 8000)

PLAIN = [
    b"GET / HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET /a%20b/%C3%A4/?q=1&r=%2F?x HTTP/1.1\r\nHost: test\r\nuser-agent:\t x \t\r\nAccept:\r\n\r\n",
    b'HEAD /a;b:c[d]"e HTTP/1.1\r\nX-Latin: \xe4\xff\r\nCookie: a=b; c=d\r\nConnection: close\r\n\r\n',
    b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n",
    b"PUT /x HTTP/1.1\r\nContent-Length: five\r\n\r\n",
    b"GET /1 HTTP/1.1\r\nHost: one\r\n\r\nGET /2 HTTP/1.1\r\nHost: two\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
]
"""Heads that take the short way."""
OTHER = [
    b"GET //a HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET /a#b HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET http://test/a?b HTTP/1.1\r\nHost: test\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: test\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET /\xe4 HTTP/1.1\r\nHost: test\r\n\r\n",
    b"get / HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: test\r\n\r\n",
    b"GET / HTTP/1.1\nHost: test\n\n",
    b"GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nVia: a\r\nvia: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nX_Y: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nX!Y: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\n\r\n",
    b"GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-SSL: off\r\n\r\n",
    b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nExpect: more\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, other\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 200 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(20)) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: te",
    b"",
]
"""Heads that take Gunicorn's way under at least one of the settings."""
SETTINGS: list[dict[str, Any]] = [
    {"forwarded_allow_ips": ""},
    {"forwarded_allow_ips": "192.0.2.1"},
    {"forwarded_allow_ips": "*", "header_map": "dangerous", "forwarder_headers": "X_Y"},
    {"limit_request_line": 100, "limit_request_field_size": 150, "limit_request_fields": 10},
    {"limit_request_line": 0, "strip_header_spaces": True, "permit_obsolete_folding": True},
    {"casefold_http_method": True, "permit_unconventional_http_method": True, "header_map": "drop"},
    {"proxy_protocol": True},
]


class Client:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    send = sendall


def configured(options: dict[str, Any]) -> Config:
    config = Config()
    for name, value in {"http_parser": "python", **options}.items():
        config.set(name, value)
    return config


def seen(kind: type[Request], create: Callable[..., Any], pieces: list[bytes], config: Config, client: Any) -> Any:
    """Return all that a request shows, or its exception."""
    client_socket = Client()
    unreader = IterUnreader(pieces)
    try:
        request = kind(config, unreader, client)
        _, environ = create(request, client_socket, client, SERVER, config)
    except (Exception, StopIteration) as error:  # noqa: BLE001 - whatever Gunicorn raises
        return type(error), str(error)
    for name in ("wsgi.input", "wsgi.errors", "wsgi.early_hints", "gunicorn.socket"):
        environ[name] = type(environ[name]).__name__.removeprefix("_").removesuffix("Wrapper").removeprefix("WSGI")
    body: Any = request.body
    reader = body.reader
    return {
        **{name: value for name, value in vars(request).items() if name not in {"cfg", "unreader", "body", "is_plain"}},
        "environ": environ,
        "reader": (type(reader), getattr(reader, "length", None)),
        "closes": request.should_close(),
        "sent": client_socket.sent,
        "rest": unreader.read(),
    }


def compare(pieces: list[bytes], options: dict[str, Any], client: Any = CLIENT) -> None:
    config = configured(options)
    create = Environments(config).create
    assert seen(Request, wsgi.create, pieces, config, client) == seen(ServiceRequest, create, pieces, config, client)


@pytest.mark.parametrize("options", SETTINGS, ids=str)
@pytest.mark.parametrize("raw", [*PLAIN, *OTHER], ids=lambda raw: raw.decode("latin-1")[:40])
def test_a_request_is_read_as_gunicorn_reads_it(raw: bytes, options: dict[str, Any]) -> None:
    compare([raw], options)
    compare([raw[:20], raw[20:]], options)
    if options.get("forwarded_allow_ips") != "":  # the one difference: see test_http
        compare([raw], options, "")  # the client of a Unix socket


@pytest.mark.parametrize("raw", PLAIN, ids=lambda raw: raw.decode("latin-1")[:40])
def test_a_plain_request_takes_the_short_way(raw: bytes) -> None:
    try:
        request = ServiceRequest(configured(SETTINGS[0]), IterUnreader([raw]), CLIENT)
    except Exception as error:  # noqa: BLE001 - the invalid length
        request = error.req  # type: ignore[attr-defined] # Gunicorn's exception has it
    assert request.is_plain


PIECES = st.sampled_from(
    b"GET |/|//|#|a?b| HTTP/1.1|\r\n|\r\n\r\n|Host: x|X-Y:\t|Expect: 100-continue|Content-Length: 3|"
    b"Transfer-Encoding: chunked|\xe4|_|:| |\n|\r|\x00".split(b"|")
)
DAMAGES = st.tuples(st.integers(0, 120), st.integers(0, 3), PIECES)
"""The place, the number of bytes removed there, and the bytes added."""


@fuzzed
@given(st.sampled_from([*PLAIN, *OTHER]), st.lists(DAMAGES, max_size=3))
def test_a_damaged_request_is_read_as_gunicorn_reads_it(raw: bytes, damages: list[tuple[int, int, bytes]]) -> None:
    for place, removed, added in damages:
        raw = raw[:place] + added + raw[place + removed :]
    for options in SETTINGS:
        compare([raw], options)


def test_the_error_stream_writes_to_what_is_the_standard_error_at_that_time(capsys: pytest.CaptureFixture[str]) -> None:
    config = configured({})
    request = ServiceRequest(config, IterUnreader([PLAIN[0]]), CLIENT)
    _, environ = Environments(config).create(request, Client(), CLIENT, SERVER, config)
    errors = environ["wsgi.errors"]

    with contextlib.redirect_stderr(io.StringIO()) as other:
        errors.write("one\n")
        errors.flush()
    errors.writelines(["two\n"])

    assert ("one\n", "two\n") == (other.getvalue(), capsys.readouterr().err)


def test_the_prefix_of_the_environment_is_gunicorn_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPT_NAME", "/a")

    compare([PLAIN[1]], {})
    compare([PLAIN[0]], {})  # outside of the prefix


class OtherText(str):
    """Text of another type."""

    __slots__ = ()


RESPONSES: list[tuple[Any, Any]] = [
    ("200 OK", [("Content-Length", "5"), ("Content-Type", " text/plain\t")]),
    ("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")]),
    ("200 OK", [("Content-Length", "3")]),
    ("200 OK", [("Content-Length", "9")]),
    ("200 OK", [("Content-Length", "five")]),
    ("200 OK", [("Connection", "close"), ("X-A", "\xe4"), ("Keep-Alive", "1"), ("Server", "mine")]),
    ("200 OK", [("Connection", "upgrade"), ("Upgrade", "websocket")]),
    ("200 OK", [("X A", "b")]),
    ("200 OK", [("X-A", "b\r\nX-B: c")]),
    ("200 OK", [("X-A", "\u20ac")]),
    ("200 OK", [("X-A", 5)]),
    ("200 OK", [(b"X-A", "5")]),
    ("200 OK", [(["X-A"], "5")]),
    ("200 OK", [(OtherText("X-A"), OtherText("5"))]),
    (OtherText("200 OK"), []),
    (200, []),
    ("OK", []),
    ("2000 OK", []),
    ("099 OK", []),
    ("101 Switching Protocols", [("Connection", "upgrade"), ("Upgrade", "websocket")]),
    ("204 No Content", [("Content-Length", "0")]),
    ("304 Not Modified", [("Content-Length", "5")]),
    ("404 NOT FOUND", [("Content-Length", "5")]),
    ("500", [("Content-Length", "5")]),
]
BODIES: list[list[Any]] = [[b"hello"], [], [b""], [b"he", b"llo"], [b"hello, world"], ["hello"], [b"x" * 70_000]]


def answered(kind: type[wsgi.Response], request: Any, status: Any, headers: Any, body: list[Any]) -> Any:
    client: Any = Client()
    response = kind(request, client, Config())
    error: Any = None
    try:
        response.start_response(status, headers)
        for chunk in body:
            response.write(chunk)
        response.close()
    except Exception as raised:  # noqa: BLE001 - whatever Gunicorn raises
        error = type(raised), str(raised)
    after = {name: value for name, value in vars(response).items() if name not in {"req", "sock", "cfg"}}
    return b"".join(client.sent), error, after, error or response.should_close()


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1", b"HEAD / HTTP/1.1", b"GET / HTTP/1.0"])
@pytest.mark.parametrize(("status", "headers"), RESPONSES)
def test_a_response_is_sent_as_gunicorn_sends_it(
    status: Any, headers: Any, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gunicorn.util.http_date", lambda: "now")
    request = Request(configured({}), IterUnreader([head + b"\r\nHost: test\r\n\r\n"]), CLIENT)
    for body in BODIES:
        expected, found = (answered(kind, request, status, headers, body) for kind in (wsgi.Response, ServiceResponse))
        assert expected == found


def test_the_headers_of_an_error_replace_those_that_are_not_sent() -> None:
    request = Request(configured({}), IterUnreader([PLAIN[0]]), CLIENT)
    for kind in (wsgi.Response, ServiceResponse):
        client: Any = Client()
        response = kind(request, client, Config())
        response.start_response("200 OK", [])
        with pytest.raises(AssertionError, match="already set"):
            response.start_response("500 Error", [])
        try:
            raise ValueError("late")
        except ValueError as error:
            response.start_response("500 Error", [], (ValueError, error, error.__traceback__))
        response.write(b"x")
        assert client.sent[0].startswith(b"HTTP/1.1 500 Error\r\n")
