"""The client of `verify`: bounded in time, without redirects and without secrets, and its report of missing answers."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flask_ops.cli.verify import client
from flask_ops.cli.verify.target import Target, without_secrets
from tests.command import main
from tests.ports import free_port
from tests.programs import require
from tests.verify.impostor import Reply, impostor
from tests.verify.verifying import Verified, verify


@contextlib.contextmanager
def raw(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Serve each connection with ``talk`` until the block ends, which sets the event; yield the URL."""
    over = threading.Event()
    threads = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threads.append(threading.Thread(target=one, args=(connection,)))
                    threads[-1].start()

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                talk(connection, over)

        acceptor = threading.Thread(target=serve)
        acceptor.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
    for thread in [acceptor, *threads]:
        thread.join()


def hang(_connection: socket.socket, over: threading.Event) -> None:
    over.wait()


def dribble(connection: socket.socket, over: threading.Event) -> None:
    """Send a byte now and then, and never end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        connection.sendall(b"X-More: x\r\n")


def drop(_connection: socket.socket, _over: threading.Event) -> None:
    pass


def greet(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def stop_at(content: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Promise more than the content, and close."""
    return lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\n" + content)


def reset(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def only_error(found: Verified) -> str:
    (finding,) = found.findings
    assert (1, "/", "error") == (found.code, finding["subject"], finding["severity"])
    return str(finding["text"])


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (hang, "no complete answer within 0.3 s"),
        (dribble, "no complete answer within 0.3 s"),
        (drop, "the connection was closed without an answer"),
        (stop_at(b"Content-Length: 1000\r\n\r\nabc"), "the connection was closed in the middle of the answer"),
        (stop_at(b"Content-Length: 1000\r\n\r\n"), "the connection was closed in the middle of the answer"),
        (
            stop_at(b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc"),
            "the connection was closed in the middle of the answer",
        ),
        (
            stop_at(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            "the connection was closed in the middle of the answer",
        ),
        (reset, "the connection was closed in the middle of the answer"),
        (greet, "the answer is not HTTP (BadStatusLine)"),
    ],
)
def test_a_server_that_gives_no_answer_is_one_clear_sentence_in_time(
    talk: Callable[[socket.socket, threading.Event], None], words: str
) -> None:
    with raw(talk) as url:
        begin = time.monotonic()
        text = only_error(verify(url, "--timeout", "0.3"))
        taken = time.monotonic() - begin

    assert f"{url} cannot be reached: {words}." == text
    assert taken < 10


def test_a_wrong_port_is_one_clear_sentence() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    assert f"{url} cannot be reached: connection refused." == only_error(verify(url))


def test_a_host_that_does_not_exist_is_one_clear_sentence() -> None:
    assert "http://no.such.host.invalid cannot be reached: " in only_error(verify("http://no.such.host.invalid"))


def test_one_path_that_hangs_does_not_hide_the_rest() -> None:
    over = threading.Event()

    def wait(_reply: Reply) -> None:
        over.wait()

    with impostor({"/readyz": wait}) as server:
        found = verify(server.url, "--timeout", "0.5")
        over.set()

    assert ["No complete answer within 0.5 s."] == found.texts("/readyz", "error")
    assert found.texts("request id", "ok")


@pytest.mark.parametrize(("path", "subject"), [("/healthz", "metrics"), ("/readyz", "/readyz"), ("*", "404")])
def test_an_answer_that_breaks_off_is_none(path: str, subject: str) -> None:
    with impostor({path: lambda reply: setattr(reply, "missing", 5000)}) as server:
        found = verify(server.url)

    assert 1 == found.code
    assert ["The connection was closed in the middle of the answer."] == found.texts(subject, "error")


def test_metrics_that_break_off_are_no_metrics() -> None:
    with impostor({"/metrics": lambda reply: setattr(reply, "missing", 5000)}) as server:
        found = verify(server.url)

    assert 1 == found.code
    text = f"{server.url}/metrics: the connection was closed in the middle of the answer."
    assert [text] == found.texts("metrics", "error")


def test_an_answer_is_read_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_BYTES", 2**20)
    sizes = iter([2**20, 2**20 + 1])
    with impostor({"/": lambda reply: setattr(reply, "body", bytes(next(sizes)))}) as server:
        fitting = client.Client(Target.parse(server.url), timeout=5, deadline=time.monotonic() + 60)

        assert 2**20 == len(fitting.get("/").body)
        with pytest.raises(client.NoAnswerError, match="the answer has more than 1 MiB"):
            fitting.get("/")


@pytest.mark.system
def test_metrics_that_take_long_to_read_are_bounded_too() -> None:
    """Sixteen MiB of metrics took eight seconds to read, which no request timeout covered."""
    line = b'flask_http_request_total{method="GET",route="/healthz",status="200"} 1\n'
    with impostor({"/metrics": lambda reply: setattr(reply, "body", line * (2**24 // len(line)))}) as server:
        begin = time.monotonic()
        found = verify(server.url, "--timeout", "1", "--total-timeout", "4")
        taken = time.monotonic() - begin

    assert [f"{server.url}/metrics: no complete answer within 1 s."] == found.texts("metrics", "error")
    assert taken < 5


@pytest.mark.system
def test_all_together_is_bounded() -> None:
    over = threading.Event()

    def wait(_reply: Reply) -> None:
        over.wait(0.3)

    with impostor(dict.fromkeys(["/", "/healthz", "/readyz", "*"], wait)) as server:
        found = verify(server.url, "--total-timeout", "1")
        over.set()

    assert 1 == found.code
    assert ["Not done within 1 s; the rest was not tested."] == found.texts("time", "error")
    assert found.texts("/", "ok"), "what was found before is kept"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://user:secret@example.com",
        "http://user:secret@",
        "user:secret@example.com:8000",
        "http://user:secret@example.com:port",
        "http://user:secret@example.com:0",
        "http://user:secret@example.com/?token=secret",
        "http://user:secret@example.com/a b",
        "http://user:secret@example.com/\r\nX: y",
        "http://[::1",
        "",
    ],
)
def test_a_url_that_cannot_be_used_is_a_usage_error_that_does_not_show_it(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["verify", url])

    assert 2 == exit_.value.code
    told = capsys.readouterr()
    assert "expected http://host[:port][/path] or https://" in told.err
    assert "secret" not in told.err + told.out


def test_the_application_and_the_management_address_cannot_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["verify", "http://127.0.0.1:8000", "--management", "http://127.0.0.1:8000"])

    assert 2 == exit_.value.code
    assert "are the same address" in capsys.readouterr().err


@pytest.mark.parametrize("again", ["http://127.0.0.1:8001", "http://user:secret@127.0.0.1:8001/"])
def test_no_instance_can_be_counted_twice(again: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["verify", "http://127.0.0.1:8000", "--management", "http://127.0.0.1:8001", "--management", again])

    assert 2 == exit_.value.code
    told = capsys.readouterr().err
    assert "an address is given twice" in told
    assert "secret" not in told


def test_user_and_password_are_sent_and_not_shown() -> None:
    seen: list[str | None] = []
    with impostor({"/": lambda reply: seen.append(reply.request.get("Authorization"))}) as server:
        found = verify(server.url.replace("//", "//user:p%40ss@"))

    assert {"Basic dXNlcjpwQHNz"} == set(seen)  # user:p@ss
    assert "p%40ss" not in found.out
    assert "p@ss" not in found.out


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://example.com", "http://example.com"),
        ("http://a:b@example.com:80/", "http://example.com"),
        ("https://a:b@example.com:8443/x/", "https://example.com:8443/x"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert shown == str(Target.parse(url))
    assert "b@" not in repr(Target.parse(url))


def test_what_is_shown_of_a_url_that_a_server_has_sent() -> None:
    assert "https://example.com/in" == without_secrets("https://a:b@example.com/in?token=x#y")
    assert "/login" == without_secrets("/login?next=x")
    assert "a malformed URL" == without_secrets("http://[")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate for 127.0.0.1, valid for 20 days, and its server's context."""
    folder = tmp_path_factory.mktemp("certificate")
    key, file = folder / "key.pem", folder / "cert.pem"
    command: list[str | Path] = [
        require("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "20"]
    subprocess.run([*command, *names, "-keyout", key, "-out", file], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return file, context


@pytest.mark.system
def test_a_certificate_that_is_valid_is_told_with_its_end(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with impostor(context=context) as server:
        url = server.url.replace("http:", "https:")
        found, soon = verify(url, "--public"), verify(url, "--certificate-days", "30")

    assert [("exposed", "error")] == found.bad()
    assert "TLSv1.3, certificate valid until " in found.texts("tls", "ok")[0]
    assert ", 19 days" in found.texts("tls", "ok")[0]
    assert ", 19 days." in soon.texts("tls", "warning")[0]
    assert ["They count exactly the 10 requests made here."] == found.texts("metrics", "ok")


def test_a_certificate_that_is_not_valid_fails_and_no_password_is_sent(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = certificate
    with impostor(context=context) as server:
        unknown = only_error(verify(f"https://user:secret@127.0.0.1:{server.port}"))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        another = only_error(verify(f"https://localhost:{server.port}"))

        assert [] == server.asked
    assert "the certificate is not valid: self-signed certificate" in unknown
    assert "the certificate is not valid: Hostname mismatch" in another


def test_no_tls_where_it_is_asked_for_is_one_clear_sentence() -> None:
    with impostor() as server:
        assert "no TLS there" in only_error(verify(server.url.replace("http:", "https:")))
