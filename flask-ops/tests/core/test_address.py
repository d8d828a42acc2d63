from __future__ import annotations

import pytest

from flask_ops.core.address import Address

FORMS = [
    ("127.0.0.1:8000", Address("127.0.0.1", 8000)),
    ("0.0.0.0:0", Address("0.0.0.0", 0)),
    ("localhost:5000", Address("localhost", 5000)),
    ("my-host_1.example.org:65535", Address("my-host_1.example.org", 65535)),
    ("[::1]:80", Address("::1", 80)),
    ("[::]:0", Address("::", 0)),
    ("[2001:DB8::1]:443", Address("2001:DB8::1", 443)),
    ("[::ffff:192.0.2.1]:80", Address("::ffff:192.0.2.1", 80)),
    ("unix:/run/service.sock", Address("", 0, "/run/service.sock")),
    ("unix:/run/with space:8000", Address(unix="/run/with space:8000")),
]


@pytest.mark.parametrize(("text", "expected"), FORMS)
def test_each_form_of_an_address_is_read(text: str, expected: Address) -> None:
    """Host names, IPv4, IPv6 in brackets and Unix sockets are addresses."""
    assert expected == Address.parse(text)


@pytest.mark.parametrize(("expected", "address"), FORMS)
def test_an_address_is_written_in_the_form_it_is_read_in(expected: str, address: Address) -> None:
    """`str` returns a text that can be parsed again; an IPv6 address keeps its brackets."""
    assert expected == str(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8000",
        ":8000",
        "host",
        "host:",
        "host:http",
        "host:-1",
        "host:65536",
        "host:100000",
        "host:\N{FULLWIDTH DIGIT EIGHT}",
        "host: 80",
        "host:80\n",
        "host:80/path",
        "http://host:80",
        "two words:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[]:80",
        "[host]:80",
        "[192.0.2.1]:80",
        "[:::]:80",
        "[1::2::3]:80",
        "unix:",
        "unix:relative/path",
        "UNIX:/run/service.sock",
    ],
)
def test_what_is_no_address_is_refused_with_the_forms_that_are(text: str) -> None:
    """The error's text is the expected form, so that a caller can quote it."""
    expected = "host:port, [ipv6]:port or unix:/path"

    with pytest.raises(ValueError, match="host:port") as raised:
        Address.parse(text)

    assert expected == str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", True),
        ("127.255.255.254:80", True),
        ("[::1]:80", True),
        ("[0:0:0:0:0:0:0:1]:80", True),
        ("localhost:80", True),
        ("unix:/run/service.sock", True),
        ("0.0.0.0:80", False),
        ("[::]:80", False),
        ("128.0.0.1:80", False),
        ("192.168.0.1:80", False),
        ("[::2]:80", False),
        ("localhost.example.org:80", False),  # a name may resolve to anything
        ("example.org:80", False),
    ],
)
def test_loopback_is_where_only_this_machine_can_connect(text: str, expected: bool) -> None:
    """A name other than `localhost` is never taken for loopback."""
    assert expected is Address.parse(text).is_loopback


def test_equal_addresses_are_one_key() -> None:
    """Addresses are immutable values, so they can be compared and hashed."""
    expected = {Address("::1", 80)}

    assert expected == {Address.parse("[::1]:80"), Address.parse("[::1]:80")}
