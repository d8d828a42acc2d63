from __future__ import annotations

import pytest

from flask_ops.core.address import Address

FORMS = {
    "127.0.0.1:8000": Address("127.0.0.1", 8000),
    "0.0.0.0:0": Address("0.0.0.0", 0),
    "localhost:5000": Address("localhost", 5000),
    "my-host_1.example.org:65535": Address("my-host_1.example.org", 65535),
    "[::1]:80": Address("::1", 80),
    "[::]:0": Address("::", 0),
    "[2001:DB8::1]:443": Address("2001:DB8::1", 443),
    "[::ffff:192.0.2.1]:80": Address("::ffff:192.0.2.1", 80),
    "unix:/run/service.sock": Address("", 0, "/run/service.sock"),
    "unix:/run/with space:8000": Address(unix="/run/with space:8000"),
}
MALFORMED = [
    *("", "8000", ":8000", "host", "host:", "host:http", "host:-1", "host:65536", "host:100000"),
    *("host:\N{FULLWIDTH DIGIT EIGHT}", "host: 80", "host:80\n", "host:80/path", "http://host:80", "two words:80"),
    *("::1:80", "[::1]", "[::1]80", "[]:80", "[host]:80", "[192.0.2.1]:80", "[:::]:80", "[1::2::3]:80"),
    *("unix:", "unix:relative/path", "UNIX:/run/service.sock"),
]
LOOPBACK = ["127.0.0.1:80", "127.255.255.254:80", "[::1]:80", "[0:0:0:0:0:0:0:1]:80", "localhost:80", "unix:/run/s"]
REACHABLE = ["0.0.0.0:80", "[::]:80", "128.0.0.1:80", "192.168.0.1:80", "[::2]:80", "localhost.example.org:80", "a:80"]


def test_each_form_of_an_address_is_read_and_written() -> None:
    """Host names, IPv4, IPv6 in brackets and Unix sockets are addresses. They are values, so each is its own key."""
    assert FORMS == {text: Address.parse(text) for text in FORMS}
    assert [*FORMS] == [str(address) for address in FORMS.values()]
    assert {Address("::1", 80)} == {Address.parse("[::1]:80"), Address.parse("[::1]:80")}


def test_what_is_no_address_is_refused_with_the_forms_that_are() -> None:
    """The error's text is the expected form, so that a caller can quote it."""
    for text in MALFORMED:
        with pytest.raises(ValueError, match=r"^host:port, \[ipv6\]:port or unix:/path$"):
            Address.parse(text)


def test_loopback_is_where_only_this_machine_can_connect() -> None:
    """A name other than `localhost` is never taken for loopback: it may resolve to anything."""
    assert LOOPBACK == [text for text in [*LOOPBACK, *REACHABLE] if Address.parse(text).is_loopback]
