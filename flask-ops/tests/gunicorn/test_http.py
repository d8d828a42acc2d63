"""Requests and responses of Gunicorn, and their differences from Gunicorn alone."""

from __future__ import annotations

import email.utils
import socket
import time
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.unreader import IterUnreader

from flask_ops.servers.gunicorn.request import ServiceRequest
from flask_ops.servers.gunicorn.response import MAX_JOINED, ServiceResponse, http_date

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
FORWARDED = b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-Proto: https\r\n\r\n"


def request(raw: bytes = REQUEST, allowed: str = "", peer: Any = ("127.0.0.1", 4711)) -> ServiceRequest:
    config = Config()
    config.set("forwarded_allow_ips", allowed)
    return ServiceRequest(config, IterUnreader([raw]), peer)


class Sent:
    """A response, and the messages in which it arrives."""

    def __init__(self, raw: bytes = REQUEST) -> None:
        self._near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.response = ServiceResponse(request(raw), self._near, Config())

    def messages(self) -> list[bytes]:
        self._near.close()
        with self._far as far:
            return list(iter(lambda: far.recv(4 * MAX_JOINED), b""))


@pytest.fixture
def sent() -> Sent:
    return Sent()


def test_head_and_body_are_sent_together(sent: Sent) -> None:
    sent.response.start_response("200 OK", [("Content-Length", "5")])
    sent.response.write(b"hello")
    sent.response.close()

    (message,) = sent.messages()
    assert message.startswith(b"HTTP/1.1 200 OK\r\n")
    assert message.endswith(b"\r\nContent-Length: 5\r\n\r\nhello")


def test_each_chunk_after_the_first_one_is_sent_when_it_is_there(sent: Sent) -> None:
    sent.response.start_response("200 OK", [])
    sent.response.write(b"one")
    sent.response.write(b"two")
    sent.response.close()

    first, *others = sent.messages()
    assert first.endswith(b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    assert [b"3\r\ntwo\r\n", b"0\r\n\r\n"] == others


def test_a_large_body_is_not_copied_behind_the_head(sent: Sent) -> None:
    body = b"x" * (MAX_JOINED + 1)
    sent.response.start_response("200 OK", [("Content-Length", str(len(body)))])
    sent.response.write(body)

    head, *rest = sent.messages()
    assert head.endswith(b"\r\n\r\n")
    assert body == b"".join(rest)


@pytest.mark.parametrize("raw", [REQUEST.replace(b"GET", b"HEAD"), REQUEST])
def test_a_response_without_a_body_is_its_head(raw: bytes) -> None:
    sent = Sent(raw)
    sent.response.start_response("204 No Content" if raw == REQUEST else "200 OK", [])
    sent.response.write(b"")
    sent.response.close()

    (message,) = sent.messages()
    assert message.endswith(b"\r\n\r\n")
    assert 1 == message.count(b"\r\n\r\n")


def test_what_is_no_bytes_still_raises_and_the_head_is_out(sent: Sent) -> None:
    sent.response.start_response("200 OK", [("Content-Length", "5")])

    with pytest.raises(TypeError, match="not a byte"):
        sent.response.write("hello")

    assert sent.response.headers_sent
    (head,) = sent.messages()
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("allowed", "peer", "scheme"),
    [
        ("", ("127.0.0.1", 4711), "http"),
        ("", "", "http"),  # Gunicorn trusts all clients of a Unix socket
        ("127.0.0.1", ("127.0.0.1", 4711), "https"),
        ("10.0.0.1", ("127.0.0.1", 4711), "http"),
    ],
)
def test_a_peer_is_trusted_only_if_gunicorn_is_configured_to(allowed: str, peer: Any, scheme: str) -> None:
    assert scheme == request(FORWARDED, allowed, peer).scheme


def test_the_date_is_that_of_now() -> None:
    before = int(time.time())
    dates = [http_date(), http_date()]
    after = int(time.time())

    assert set(dates) <= {email.utils.formatdate(second, usegmt=True) for second in range(before, after + 1)}


def test_the_date_of_another_time_is_that_one() -> None:
    http_date()

    assert "Thu, 01 Jan 1970 00:00:00 GMT" == http_date(0)
