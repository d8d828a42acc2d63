"""The client of `verify`: bounded in time, without secrets, and its report of missing answers."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flask_ops.cli.verify import client
from flask_ops.cli.verify.client import Client, without_secrets
from tests.command import main
from tests.ports import free_port
from tests.programs import require
from tests.verify.impostor import Change, Reply, impostor
from tests.verify.verifying import Verified, verify

Talk = Callable[[socket.socket, threading.Event], object]


@contextlib.contextmanager
def raw(talk: Talk) -> Iterator[str]:
    """Serve each connection with ``talk`` until the block ends, which sets the event; yield the URL."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.recv(65536)
                talk(self.request, over)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


def say(content: bytes) -> Talk:
    """Return a server that sends the content and closes."""
    return lambda connection, _: connection.sendall(content)


def dribble(connection: socket.socket, over: threading.Event) -> None:
    """Send a byte now and then, and never end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        connection.sendall(b"X-More: x\r\n")


def only_error(found: Verified) -> str:
    (finding,) = found.findings
    assert (1, "/", "error") == (found.code, finding["subject"], finding["severity"])
    return str(finding["text"])


def test_a_server_that_gives_no_answer_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_BYTES", 2**20)
    for talk, words in (
        (lambda _, over: over.wait(), "no complete answer within 0.3 s"),
        (say(b""), "the connection was closed without an answer"),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc"), "the answer is incomplete"),
        (say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"), "the answer is incomplete"),
        (say(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2**20 + 1)), "the answer has more than 1 MiB"),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n"), "the answer is not HTTP (BadStatusLine)"),
    ):
        with raw(talk) as url:
            assert f"{url} cannot be reached: {words}." == only_error(verify(url, "--timeout", "0.3"))


def test_a_server_that_sends_a_byte_now_and_then_is_bounded_too() -> None:
    with raw(dribble) as url:
        found = verify(url, "--timeout", "0.1")

    assert 1 == found.code
    assert ["Not done within 1.2 s; the rest was not tested."] == found.texts("time", "error")


def test_an_address_without_a_server_is_one_clear_sentence() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    assert f"{url} cannot be reached: connection refused." == only_error(verify(url))
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


def test_an_answer_that_breaks_off_is_none() -> None:
    for path, subject, text in (
        ("/healthz", "metrics", "The answer is incomplete."),
        ("/readyz", "/readyz", "The answer is incomplete."),
        ("*", "404", "The answer is incomplete."),
        ("/metrics", "metrics", "{}/metrics: the answer is incomplete."),
    ):
        with impostor({path: lambda reply: setattr(reply, "missing", 5000)}) as server:
            found = verify(server.url)

        assert 1 == found.code
        assert [text.format(server.url)] == found.texts(subject, "error")


@pytest.mark.system
def test_all_together_is_bounded_even_while_metrics_are_read() -> None:
    """Sixteen MiB of metrics take eight seconds to read."""
    line = b'flask_http_request_total{method="GET",route="/healthz",status="200"} 1\n'
    with impostor({"/metrics": lambda reply: setattr(reply, "body", line * (2**24 // len(line)))}) as server:
        found = verify(server.url, "--timeout", "0.2")

    assert 1 == found.code
    assert ["Not done within 2.4 s; the rest was not tested."] == found.texts("time", "error")
    assert found.texts("/", "ok"), "what was found before is kept"


URLS = [
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
]


def test_a_url_that_cannot_be_used_is_a_usage_error_that_does_not_show_it(capsys: pytest.CaptureFixture[str]) -> None:
    for url in URLS:
        with pytest.raises(SystemExit) as exit_:
            main(["verify", url])

        assert 2 == exit_.value.code
        told = capsys.readouterr()
        assert "expected http://host[:port][/path] or https://" in told.err
        assert "secret" not in told.err + told.out


@pytest.mark.parametrize(
    ("managements", "words"),
    [
        (["http://127.0.0.1:8000"], "are the same address"),
        (["http://127.0.0.1:8001", "http://127.0.0.1:8001"], "an address is given twice"),
        (["http://127.0.0.1:8001", "http://user:secret@127.0.0.1:8001/"], "an address is given twice"),
    ],
)
def test_no_address_is_given_twice(managements: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["verify", "http://127.0.0.1:8000", *(f"--management={url}" for url in managements)])

    assert 2 == exit_.value.code
    told = capsys.readouterr().err
    assert words in told
    assert "secret" not in told


def test_user_and_password_are_sent_and_not_shown() -> None:
    seen: list[str | None] = []
    with impostor({"/": lambda reply: seen.append(reply.request.get("Authorization"))}) as server:
        found = verify(server.url.replace("//", "//user:p%40ss@"))

    assert {"Basic dXNlcjpwQHNz"} == set(seen)  # user:p@ss
    assert "p%40ss" not in found.out
    assert "p@ss" not in found.out


def test_only_management_addresses_get_the_token_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVICE_MANAGEMENT_TOKEN", "correct-horse-battery")
    seen: dict[str, str | None] = {}
    changes: dict[str, Change] = {"/": lambda reply: seen.update(url=reply.request.get("Authorization"))}
    inner: dict[str, Change] = {"/info": lambda reply: seen.update(management=reply.request.get("Authorization"))}
    with impostor(changes) as server, impostor(inner) as management:
        found = verify(server.url, f"--management={management.url}")
    assert {"url": None, "management": "Bearer correct-horse-battery"} == seen
    assert "correct-horse" not in found.out

    monkeypatch.setenv("SERVICE_MANAGEMENT_TOKEN", "short")
    with pytest.raises(SystemExit) as exit_:
        main(["verify", server.url])
    assert 2 == exit_.value.code
    assert "SERVICE_MANAGEMENT_TOKEN is (not shown), expected at least 16" in capsys.readouterr().err


def test_a_url_is_shown_without_its_secrets() -> None:
    for url, shown in (
        ("http://example.com", "http://example.com"),
        ("https://a:b@example.com:8443/x/", "https://example.com:8443/x"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ):
        assert shown == str(Client(url, 1))
    assert "https://example.com/in" == without_secrets("https://a:b@example.com/in?token=x#y")
    assert "/login" == without_secrets("/login?next=x")
    assert "a malformed URL" == without_secrets("http://[")


def test_a_certificate_that_is_not_valid_fails_and_no_password_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, file = tmp_path / "key.pem", tmp_path / "cert.pem"
    command: list[str | Path] = [
        require("openssl"),
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=test",
    ]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", file], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
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
