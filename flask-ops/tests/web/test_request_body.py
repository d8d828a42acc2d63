"""A body that does not arrive in full never looks complete, and a body over the limit is never cut off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.exposition import scrape, value
from tests.process import Server
from tests.servers import serve
from tests.web.uploads import Sent, chunked

pytestmark = pytest.mark.timeout(120)

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + b"x" * 5000
WHOLE_FILE = FILE + b"\r\n--b--\r\n"


@pytest.fixture(scope="module", params=["gunicorn", "waitress", "uwsgi"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(name, tmp_path_factory.mktemp(name), ready="/readyz") as running_server:
        yield running_server


READS = [
    ("data", "text/plain", b"amount=100"),
    ("form", FORM, b"amount=100"),
    ("files", MULTIPART, FILE),
    ("stream", "application/octet-stream", b"x" * 3000),
    ("lines", "text/plain", b"one\ntwo\nthr"),
    ("swallowed", "text/plain", b"amount=100"),
]


def test_a_truncated_body_is_a_client_that_left(server: Server, name: str) -> None:
    before = scrape(server)
    for how, content_type, body in READS:
        truncated = [
            (b"Content-Length: %d" % (len(body) + 2), body),
            (b"Transfer-Encoding: chunked", b"%x\r\n%b" % (len(body) + 2, body)),
            (b"Transfer-Encoding: chunked", b"%x\r\n%b" % (len(body), body)),
            (b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(body), body)),
        ]
        for framing, part in truncated:
            if name == "uwsgi" and framing.startswith(b"Transfer"):
                continue  # refused with 411
            sent = Sent(server, f"/body/{how}", framing, part, content_type)
            if name != "gunicorn":  # the others hand over complete bodies only
                assert sent.status in {0, 400}, (how, framing, part[-20:])
                assert not sent.lines
                continue
            case, line = (how, framing, part[-20:]), sent.line()
            assert line["outcome"] == "client_disconnected", case
            assert line["status"] == (499 if how == "swallowed" else 400), case
            assert line["level"] == "warning", case
    after, total = scrape(server), "flask_http_request_total"
    route = {"route": "/body/<how>"}
    for status in ("200", "500"):
        assert value(before, total, status=status, **route) == value(after, total, status=status, **route)
    assert not server.lines("unhandled exception")


def test_a_whole_body_is_read_in_every_way(server: Server, name: str) -> None:
    for how, content_type, body in READS:
        whole = WHOLE_FILE if how == "files" else body
        size = {"files": 5000, "form": 3}.get(how, len(body))
        for framing, part in [
            (b"Content-Length: %d" % len(whole), whole),
            (b"Transfer-Encoding: chunked", chunked(whole)),
        ]:
            if name == "uwsgi" and framing.startswith(b"Transfer"):
                continue
            sent = Sent(server, f"/body/{how}", framing, part, content_type)
            assert sent.status == 200, (how, framing)
            assert b'"received":%d' % size in sent.body, (how, framing)
            assert "outcome" not in sent.line()


def test_a_malformed_chunked_body_is_the_clients_fault(server: Server, name: str) -> None:
    for body in [
        b"ZZ\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    ]:
        sent = Sent(server, "/body/data", b"Transfer-Encoding: chunked", body)
        if name == "waitress" and b"Content-Length" in body:
            assert sent.status == 200  # it drops trailers
            continue
        assert sent.status == (411 if name == "uwsgi" else 400), body
        for line in sent.lines:
            assert (line["status"], line.get("outcome")) == (sent.status, None)
    assert not server.lines("unhandled exception")


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        ("1000", {1000: 200, 1001: 413}),
        ("8388608", {3_000_000: 200}),
        ("none", {1_048_576: 200, 1_048_577: 413}),  # Flask then takes the limit of the application
    ],
)
def test_the_limit_of_a_view_counts_for_both_framings(
    server: Server, name: str, limit: str, sizes: dict[int, int]
) -> None:
    for size, status in sizes.items():
        body = b"x" * size
        for how in ("data", "stream"):
            for framing, sent_body in [
                (b"Content-Length: %d" % size, body),
                (b"Transfer-Encoding: chunked", chunked(body)),
            ]:
                if name == "uwsgi" and framing.startswith(b"Transfer"):
                    continue
                sent = Sent(server, f"/body/{how}?limit={limit}", framing, sent_body)
                case = (how, size, framing)
                assert (sent.status or status) == status == sent.line()["status"], case
                if status == 200:
                    assert b'"received":%d' % size in sent.body, case
