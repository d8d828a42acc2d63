"""A body that does not arrive in full never looks complete, and a body over the limit is never cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exposition import scrape, value
from tests.process import Server
from tests.servers import serve
from tests.web.uploads import Sent, chunked

pytestmark = pytest.mark.timeout(120)

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
FILE_BEGIN = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
FILE_END = b"\r\n--b--\r\n"
FILE = FILE_BEGIN + b"x" * 5000
WHOLE_FILE = FILE + FILE_END


@pytest.fixture(scope="module", params=["gunicorn", "waitress", "uwsgi", "flask"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(name, tmp_path_factory.mktemp(name), ready="/readyz") as running_server:
        yield running_server


READS = [
    ("data", "text/plain", b"amount=100"),
    ("form", FORM, b"amount=100"),
    ("json", "application/json", b"[1, 2, 3]"),
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
            if name in {"waitress", "uwsgi"}:  # they hand over complete bodies only
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


def test_a_reset_connection_is_a_client_that_left(server: Server, name: str, tmp_path: Path) -> None:
    if name in {"waitress", "uwsgi"}:  # they never call the application
        return
    for how, content_type, body in READS:
        for framing, part in [
            (b"Content-Length: %d" % (len(body) + 2), body),
            (b"Transfer-Encoding: chunked", b"%x\r\n%b" % (len(body) + 2, body)),
        ]:
            until = tmp_path / f"{how}{len(framing)}"
            sent = Sent(server, f"/body/{how}?s=20&until={until}", framing, part, content_type, sent=until, reset=True)
            line = sent.line()
            assert ("client_disconnected", "warning") == (line["outcome"], line["level"]), (how, framing)
            assert line["status"] in {400, 499}, (how, framing)  # 499 if the server sees that it cannot send the 400
    assert not server.lines("unhandled exception")


def test_a_whole_body_is_read_in_every_way(server: Server, name: str) -> None:
    for how, content_type, body in READS:
        whole = WHOLE_FILE if how == "files" else body
        size = {"files": 5000, "form": 3, "json": 3}.get(how, len(body))
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
        # Werkzeug's server raises the same error if the client has left.
        outcome = "client_disconnected" if name == "flask" else None
        for line in sent.lines:
            assert (line["status"], line.get("outcome")) == (sent.status, outcome)
    assert not server.lines("unhandled exception")


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        ("1000", {1000: 200, 1001: 413}),
        ("8388608", {3_000_000: 200}),
        ("none", {3_000_000: 200}),
        ("", {1_048_576: 200, 1_048_577: 413}),
    ],
)
def test_the_limit_of_a_view_counts_for_both_framings(
    server: Server, name: str, limit: str, sizes: dict[int, int]
) -> None:
    for size, status in sizes.items():
        for how, begin, end in [("data", b"", b""), ("stream", b"", b""), ("files", FILE_BEGIN, FILE_END)]:
            body = begin + b"x" * (size - len(begin + end)) + end
            for framing, sent_body in [
                (b"Content-Length: %d" % size, body),
                (b"Transfer-Encoding: chunked", chunked(body)),
            ]:
                if name == "uwsgi" and framing.startswith(b"Transfer"):
                    continue
                sent = Sent(server, f"/body/{how}?limit={limit}", framing, sent_body, MULTIPART)
                case = (how, size, framing)
                assert (sent.status or status) == status == sent.line()["status"], case
                if status == 200:
                    assert b'"received":%d' % (size - len(begin + end)) in sent.body, case


def test_the_limits_of_forms_count_for_both_framings(server: Server, name: str) -> None:
    """Flask's MAX_FORM_MEMORY_SIZE is 500,000 bytes for a field, and MAX_FORM_PARTS is 1,000."""
    for field, parts, status in [
        (b"x" * 600_000, 1, 413),
        (b"x" * 400_000, 1, 200),
        (b"x", 1_001, 413),
        (b"x", 1_000, 200),
    ]:
        body = (b'--b\r\nContent-Disposition: form-data; name="amount"\r\n\r\n%b\r\n' % field) * parts + b"--b--\r\n"
        for framing, sent_body in [
            (b"Content-Length: %d" % len(body), body),
            (b"Transfer-Encoding: chunked", chunked(body)),
        ]:
            if name == "uwsgi" and framing.startswith(b"Transfer"):
                continue
            sent = Sent(server, "/body/form", framing, sent_body, MULTIPART)
            assert (sent.status or status) == status == sent.line()["status"], (len(field), parts, framing)
