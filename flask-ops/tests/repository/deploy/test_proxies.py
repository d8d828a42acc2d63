"""The proxies of `deploy/`: requests that reach the application, requests that they refuse, and their own answers."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flask_ops.core.settings import Settings
from observability.programs import free_port
from tests.exposition import value
from tests.process import BIN, DEADLINE, REPOSITORY, Answer, wait_until
from tests.programs import outcome
from tests.repository.deploy.proxies import NAME, PROXIES, Site, ask, site

BODY_LIMIT = Settings.from_environ({}).max_body_bytes


@pytest.fixture(scope="module", params=list(PROXIES))
def running_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


def problem(answer: Answer) -> dict[str, object]:
    """Return the proxy's problem, whose request id must equal the id in the header."""
    assert "application/problem+json" == answer.headers["Content-Type"]
    found: dict[str, object] = answer.json()
    assert {"type", "title", "status", "request_id"} == found.keys()
    assert "about:blank" == found["type"]
    assert answer.status == found["status"]
    assert answer.headers["X-Request-ID"] == found["request_id"]
    return found


@pytest.mark.parametrize("name", list(PROXIES))
def test_the_program_itself_accepts_the_configuration_without_a_warning(name: str, tmp_path: Path) -> None:
    proxy = PROXIES[name]
    plain, tls, *instances = (free_port() for _ in range(4))
    proxy.configure(tmp_path, plain, tls, instances)

    returned, output = outcome(*proxy.command(proxy.check, tmp_path))

    # Debian's mod_ssl warns if its OpenSSL differs from the version that it was compiled with.
    lines = [line for line in output.splitlines() if line != "Syntax OK" and "AH01882" not in line]
    assert ([], 0) == (lines, returned)


def test_gixy_finds_nothing_in_the_nginx_files() -> None:
    nginx = REPOSITORY / "deploy" / "nginx" / "nginx.conf"
    returned, output = outcome(BIN / "gixy", "--format", "json", nginx)

    assert (0, "[]") == (returned, output.strip())


def test_the_limit_of_the_body_is_the_services_default() -> None:
    assert 1048576 == BODY_LIMIT
    for proxy in PROXIES.values():
        text = (REPOSITORY / "deploy" / proxy.files[0]).read_text()
        assert re.search(r"client_max_body_size 1m;|gt 1048576\b", text), proxy.program


def test_the_clients_address_scheme_and_host_arrive(running_site: Site) -> None:
    seen = running_site.edge.get("/whoami", {"Host": f"{NAME}:1234"}).json()

    assert ("127.0.0.1", "https", NAME) == (seen["client"], seen["scheme"], seen["host"])
    assert f"https://{NAME}/whoami" == seen["url"]
    line = wait_until(lambda: running_site.lines("request", route="/whoami"), "the line")[-1]
    assert "127.0.0.1" == line["client"]


def test_the_time_in_the_queue_is_counted(running_site: Site) -> None:
    def observed() -> float:
        texts = [instance.server.manage("/metrics").body.decode() for instance in running_site.instances]
        return sum(value(text, "service_request_queue_seconds_count") for text in texts)

    before = observed()
    for _ in range(10):
        running_site.edge.get("/", {"X-Request-Start": "nonsense"})

    wait_until(lambda: observed() >= before + 10, "ten observations")


def test_the_probes_are_public(running_site: Site) -> None:
    for path in ("/healthz", "/readyz"):
        answer = running_site.edge.get(path)

        assert (200, {"status": "ok"}) == (answer.status, answer.json()), path


def test_a_request_for_another_host_is_refused(running_site: Site) -> None:
    for host in ("evil.example", "127.0.0.1", f"{NAME}.evil.example"):
        assert "Misdirected Request" == problem(running_site.edge.get("/whoami", {"Host": host}))["title"]


def test_plain_http_is_redirected_to_https(running_site: Site) -> None:
    edge = running_site.edge
    answer = edge.request("GET", "/items/7?a=b", port=edge.plain_port)
    other_port = edge.request("GET", "/items/7?a=b", {"Host": f"{NAME}:8080"}, port=edge.plain_port)
    misdirected = edge.request("GET", "/", {"Host": "evil.example"}, port=edge.plain_port)

    assert (308, f"https://{NAME}/items/7?a=b") == (answer.status, answer.headers["Location"])
    assert answer.headers["Location"] == other_port.headers["Location"]
    assert 421 == misdirected.status


def test_malformed_requests_are_answered_by_the_proxy(running_site: Site) -> None:
    """A malformed request gets a 400. Plain HTTP on the TLS port gets a problem, or no answer."""
    plain = f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
    malformed = b"GET /% HTTP/1.1\r\nno header\r\n\r\n"

    head, _, body = sent(running_site.edge.port, plain).partition(b"\r\n\r\n")
    assert not head or 400 == json.loads(body)["status"]
    assert sent(running_site.edge.plain_port, malformed).startswith(b"HTTP/1.1 400 ")


def sent(port: int, request: bytes) -> bytes:
    """Send bytes and return all of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_path_cannot_forge_fields_of_the_log(running_site: Site) -> None:
    """The text between quotes is one field, of a line in JSON or in plain text."""
    running_site.edge.get('/forged%20200%205%20"%22')

    line = wait_until(lambda: [text for text in running_site.edge.text().splitlines() if "forged" in text], "the line")
    (quoted,) = [part for part in re.findall(r'"((?:[^"\\]|\\.)*)"', line[0]) if "forged" in part]
    assert quoted.replace("\\", "").startswith("/forged")
    assert quoted.endswith(('"', "%22"))


def test_tls_is_of_this_century(running_site: Site) -> None:
    edge = running_site.edge
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(edge.certificate)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.deprecated_call():  # the test needs an old version
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)), closing(edge.connect(context=old)) as connection:
        connection.connect()
    new = ssl.create_default_context(cafile=edge.certificate)
    new.set_alpn_protocols(["h2", "http/1.1"])
    with closing(edge.connect(context=new)) as connection:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert ("http/1.1" if "apache" in edge.text() else "h2") == connection.sock.selected_alpn_protocol()


def test_every_answer_with_tls_tells_browsers_to_use_tls_and_shows_no_version(running_site: Site) -> None:
    edge = running_site.edge
    too_large = edge.request("POST", "/upload", body=b"x" * (BODY_LIMIT + 1))
    answers = [*map(edge.get, ("/", "/nope", "/metrics")), too_large]
    plain = [edge.request("GET", "/", {"Host": host}, port=edge.plain_port) for host in (NAME, "evil.example")]

    assert ["max-age=31536000"] * 4 == [answer.headers["Strict-Transport-Security"] for answer in answers]
    assert [None] * 2 == [answer.headers["Strict-Transport-Security"] for answer in plain]
    assert not [name for answer in answers for name in answer.headers.values() if re.search(r"/\d", name)]


def test_a_body_up_to_the_limit_is_passed_on_and_a_larger_one_is_refused(running_site: Site) -> None:
    edge = running_site.edge

    assert {"received": BODY_LIMIT} == edge.request("POST", "/upload", body=b"x" * BODY_LIMIT).json()
    assert "Content Too Large" == problem(edge.request("POST", "/upload", body=b"x" * (BODY_LIMIT + 1)))["title"]


def test_a_body_over_the_limit_is_refused_before_its_end(running_site: Site) -> None:
    size = BODY_LIMIT + 65536  # HAProxy waits until its buffer is full
    for name, framing in (("Content-Length", str(2**32 + 1)), ("Transfer-Encoding", "chunked")):
        with closing(running_site.edge.connect()) as connection:
            connection.putrequest("POST", "/upload", skip_host=True)
            connection.putheader("Host", NAME)
            connection.putheader(name, framing)
            connection.endheaders()
            connection.send((f"{size:x}\r\n".encode() if framing == "chunked" else b"") + b"x" * size)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())

        assert problem(answer)["title"] in {"Content Too Large", "Length Required"}, name


def test_unusual_headers_are_served_or_refused_with_a_problem(running_site: Site) -> None:
    for headers in ({"Range": "bytes=1000-2000"}, {"Expect": "nonsense"}):
        answer = running_site.edge.get("/", headers)
        if answer.headers["Content-Type"] == "application/problem+json":
            assert answer.status == answer.json()["status"], headers
    assert running_site.edge.get("/", {"X-Large": "x" * 40_000}).status in {400, 431}


def test_connections_to_the_instances_are_used_again(running_site: Site) -> None:
    """The proxy uses a few connections, not 100 for 100 requests."""
    with closing(running_site.edge.connect()) as connection:
        ports = {ask(connection, "GET", "/whoami").json()["port"] for _ in range(100)}

    assert len(ports) <= 10
