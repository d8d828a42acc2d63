"""A client that leaves in the middle of a body that the view does not read, or reads late."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connections import whole_response
from tests.exposition import scrape, value
from tests.process import BIN, DEADLINE, Server, running
from tests.servers import serve
from tests.web.uploads import Sent, chunked

TEXT = b"".join(b"%d\n" % number for number in range(20_000)) + b"end"
UNBUFFERED = (
    f"{BIN}/uwsgi --http-socket=127.0.0.1:0 --threads=2 --master --module tests.uwsgi_sample:application".split()
)


@pytest.fixture(scope="module", params=["gunicorn", "uwsgi"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that calls the application before the body has arrived. deploy/uwsgi.ini makes uWSGI wait."""
    directory = tmp_path_factory.mktemp(name)
    env = {"SERVICE_LOG_LEVEL": "debug"}
    with serve("gunicorn", directory) if name == "gunicorn" else running(UNBUFFERED, directory, env) as started:
        yield started


def framings(body: bytes, announced: int, name: str) -> list[tuple[bytes, bytes]]:
    """Return the ways to send ``body``, and to announce that it has ``announced`` bytes."""
    length = (b"Content-Length: %d" % announced, body)
    if name == "uwsgi":  # it passes on no chunked body
        return [length]
    is_whole = announced == len(body)
    return [length, (b"Transfer-Encoding: chunked", chunked(body) if is_whole else b"%x\r\n%b" % (announced, body))]


def test_a_truncated_body_that_no_view_reads_is_a_client_that_left(server: Server, name: str, tmp_path: Path) -> None:
    before = scrape(server)
    for number, (framing, part) in enumerate(framings(b"x" * 10, 12, name)):
        sent = tmp_path / str(number)
        line = Sent(server, f"/body/ignored?s=20&until={sent}", framing, part, sent=sent).line()

        assert ("client_disconnected", 499, 200) == (line["outcome"], line["status"], line["status_sent"]), framing
    after, total = scrape(server), "flask_http_request_total"
    route = {"route": "/body/<how>", "status": "200"}
    assert value(before, total, **route) == value(after, total, **route)


def test_a_slow_client_gets_the_answer_of_a_view_that_does_not_read(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
        client.sendall(
            b"POST /body/ignored HTTP/1.1\r\nHost: t\r\nX-Request-ID: slow\r\nContent-Length: 12\r\n\r\n1234567890"
        )
        assert 200 == whole_response(client).status

    assert "outcome" not in server.line("request", request_id="slow")


@pytest.mark.parametrize("how", ["lazy", "lazy-lines"])
def test_a_response_can_read_the_body_late(server: Server, name: str, tmp_path: Path, how: str) -> None:
    for number, (framing, part) in enumerate(framings(TEXT, len(TEXT), name)):
        path = tmp_path / str(number)
        sent = Sent(server, f"/body/{how}?size={len(TEXT)}&s=20&until={path}", framing, part, sent=path)

        assert (200, TEXT) == (sent.status, sent.body)
        assert "outcome" not in sent.line()
