"""``Ops(app)`` observes each request once, under the servers that this library starts and under others."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.attach.servers import ATTACHED, LOOPBACK, STOCK, counts, lines, served
from tests.connections import send
from tests.exposition import value
from tests.process import BIN, Server, wait_until

SHOP = "tests.applications.shop:app"
UWSGI: list[str | Path] = [BIN / "uwsgi", "--http=127.0.0.1:0", "--enable-threads", "--threads=2"]
SHARED = {"PROMETHEUS_MULTIPROC_DIR": "store"}

SERVERS: dict[str, tuple[list[str | Path], dict[str, str]]] = {
    "waitress-serve": ([BIN / "waitress-serve", "--listen=127.0.0.1:0", SHOP], {}),
    "flask run": ([BIN / "flask", "--app", SHOP, "run", "--port=0"], {"SERVICE_ENV": "development"}),
    "uwsgi": ([*UWSGI, "--module=tests.applications.shop:app"], {}),
    "uwsgi, two processes": ([*UWSGI, "--module=tests.applications.shop:app", "--master", "--processes=2"], SHARED),
    "uwsgi, lazy": ([*UWSGI, "--module=tests.applications.shop:app", "--lazy-apps", "--processes=2"], SHARED),
    "gunicorn": ([*STOCK, LOOPBACK, SHOP], {}),
    "gunicorn, two workers": ([*STOCK, LOOPBACK, "--workers=2", SHOP], SHARED),
    "gunicorn, preloaded": ([*STOCK, LOOPBACK, "--workers=2", "--preload", SHOP], SHARED),
    "our gunicorn": ([*ATTACHED, LOOPBACK, "--workers=2", SHOP], {}),
    "our waitress": ([BIN / "python", "-m", "flask_ops", "serve", SHOP], {"SERVICE_BIND": "127.0.0.1:0"}),
    "our uwsgi": ([*UWSGI, "--module=tests.applications.uwsgi_entry:application", "--processes=2"], {}),
}
ROUNDS = 20
DEEP = b"[" * 50_000
"""JSON that Python cannot read."""
UPLOAD = b"POST /upload HTTP/1.1\r\nHost: t\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
KINDS = [
    ("GET", "/items/7", "/items/<int:number>", "200"),
    ("HEAD", "/items/7", "/items/<int:number>", "200"),
    ("GET", "/stream", "/stream", "200"),
    ("GET", "/raise", "/raise", "500"),
    ("POST", "/orders", "/orders", "400"),
    ("GET", "/nothing", "unmatched", "404"),
]


def ask(server: Server, kind: tuple[str, str, str, str]) -> None:
    method, path, _, status = kind
    headers, body = ({"Content-Type": "application/json"}, DEEP) if method == "POST" else (None, None)
    assert status == str(server.request(method, path, headers, body).status)


@pytest.mark.parametrize("name", list(SERVERS))
def test_each_request_is_one_line_and_one_count(name: str, tmp_path: Path) -> None:
    command, env = SERVERS[name]
    with served(command, tmp_path, {"SERVICE_LOG_FORMAT": "json", "SERVICE_MANAGEMENT_BIND": "", **env}) as server:
        wait_until(lambda: lines(server), "the line of the first request")
        before, lines_before = counts(server.get("/metrics").body.decode()), lines(server)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda kind: ask(server, kind), KINDS * ROUNDS))

        expected = Counter({(method, route, status): ROUNDS for method, _, route, status in KINDS})

        def seen() -> Counter[tuple[str, str, str]]:
            return Counter({key: n for key, n in (lines(server) - lines_before).items() if key[1] != "/metrics"})

        wait_until(lambda: seen().total() >= expected.total(), "the lines of all requests")
        assert expected == seen()
        exposition = server.get("/metrics").body.decode()
        assert not value(exposition, "flask_http_request_exceptions_total", route="/orders")
        counted = counts(exposition) - before
        assert expected == Counter({key: n for key, n in counted.items() if key[1] != "/metrics"})


@pytest.mark.parametrize("name", ["waitress-serve", "flask run", "gunicorn", "our gunicorn", "our waitress"])
def test_a_chunked_body_over_the_limit_of_a_view_is_not_cut_off(name: str, tmp_path: Path) -> None:
    """Werkzeug returns its beginning instead. uWSGI passes no chunked body on."""
    command, env = SERVERS[name]
    with served(command, tmp_path, {"SERVICE_LOG_FORMAT": "json", "SERVICE_MANAGEMENT_BIND": "", **env}) as server:
        for size, status in [(1000, b"200"), (1001, b"413")]:
            chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
            answer = send(server.port, UPLOAD + chunk + b"0\r\n\r\n")

            assert status == answer.split()[1]
            assert size > 1000 or answer.endswith(b"1000")
