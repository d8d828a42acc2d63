"""The proxies of `deploy/`, each a real one, in front of two real instances of the sample application.

A configuration runs as it is in `deploy/`, except for ``replace``: addresses and ports, paths, and the user if the
tests do not run as root. A test may ask for more ``changes``.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from observability.programs import free_port
from tests.process import DEADLINE, REPOSITORY, Answer, Server, started, wait_until
from tests.programs import require
from tests.servers import serve

NAME = "service.example"
"""The name in the configurations and in the certificate."""
ADDRESSES = ("127.0.0.1:8000", "127.0.0.1:8010")
"""The addresses of the instances in the configurations."""


_ESTABLISHED = "01"  # in /proc/net/tcp


@dataclass(frozen=True)
class Proxy:
    """A program and its files in `deploy/`, the main file first; ``{}`` in arguments stands for its path."""

    program: str
    files: Sequence[str]
    run: Sequence[str]
    check: Sequence[str]
    replace: Callable[[Path, int, int], Mapping[str, str]]
    """Returns replacements by their old texts, for a directory and the two ports."""
    of_root: Sequence[str] = ()
    """Lines that need root."""

    def command(self, arguments: Sequence[str], directory: Path) -> list[str | Path]:
        """Return the program with ``arguments`` for the configuration in ``directory``."""
        path = str(directory / Path(self.files[0]).name)
        return [require(self.program), *(argument.replace("{}", path) for argument in arguments)]

    def configure(
        self, directory: Path, plain: int, tls: int, instances: Sequence[int], changes: Mapping[str, str] | None = None
    ) -> None:
        """Write the configuration and a certificate for NAME into ``directory``."""
        replacements = {
            **(changes or {}),
            **dict(zip(ADDRESSES, (f"127.0.0.1:{port}" for port in instances), strict=True)),
            **self.replace(directory, plain, tls),
            **({} if os.geteuid() == 0 else dict.fromkeys(self.of_root, "")),
        }
        texts = {name: (REPOSITORY / "deploy" / name).read_text() for name in self.files}
        for old in replacements:
            assert any(old in text for text in texts.values()), f"{old!r} is not in {self.files}"
        # Replace all at once: a replaced port may look like the beginning of another old text.
        pattern = re.compile("|".join(re.escape(old) for old in replacements))
        texts = {name: pattern.sub(lambda found: replacements[found[0]], text) for name, text in texts.items()}
        for name, text in texts.items():
            (directory / Path(name).name).write_text(text)
        make_certificate(directory / "tls")


def _nginx(directory: Path, plain: int, tls: int) -> dict[str, str]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return {
        "listen 80": f"listen 127.0.0.1:{plain}",
        "listen 443": f"listen 127.0.0.1:{tls}",
        "pid /run/nginx.pid": f"pid {directory}/pid",
        "/var/log/nginx/error.log": "stderr",
        "/var/log/nginx/access.log": "/dev/stdout",
        "http {": "http {" + "".join(f" {kind}_temp_path {directory}/{kind};" for kind in kinds),
    }


def _apache(directory: Path, plain: int, tls: int) -> dict[str, str]:
    return {
        "Listen 80": f"Listen 127.0.0.1:{plain}",
        "Listen 443": f"Listen 127.0.0.1:{tls}",
        "*:80": f"*:{plain}",
        "*:443": f"*:{tls}",
        "/etc/apache2": f"{directory}",
        "/run/apache2": f"{directory}",
        "/var/log/apache2/error.log": "/dev/stderr",
        "/var/log/apache2/access.log": "/dev/stdout",
    }


def _haproxy(directory: Path, plain: int, tls: int) -> dict[str, str]:
    return {
        "bind :80": f"bind 127.0.0.1:{plain}",
        "bind :443": f"bind 127.0.0.1:{tls}",
        "/etc/haproxy": f"{directory}",
    }


PROXIES = {
    "nginx": Proxy(
        program="nginx",
        files=("nginx/nginx.conf", "nginx/problem.conf", "nginx/upstream.conf"),
        run=("-e", "stderr", "-g", "daemon off;", "-c", "{}"),
        check=("-e", "stderr", "-t", "-q", "-c", "{}"),
        replace=_nginx,
        of_root=("user www-data;",),
    ),
    "apache": Proxy(
        program="apache2",
        files=("apache/apache2.conf",),
        run=("-DFOREGROUND", "-f", "{}"),
        check=("-t", "-f", "{}"),
        replace=_apache,
    ),
    "haproxy": Proxy(
        program="haproxy",
        files=("haproxy/haproxy.cfg",),
        run=("-db", "-f", "{}"),
        check=("-c", "-q", "-f", "{}"),
        replace=_haproxy,
        of_root=("    user haproxy\n", "    group haproxy\n", "    chroot /var/lib/haproxy\n"),
    ),
}


def make_certificate(directory: Path) -> None:
    """Make a certificate for NAME, with its key in ``service.pem.key``, where HAProxy looks for it."""
    directory.mkdir()
    key, certificate = directory / "service.key", directory / "service.pem"
    command = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    subject = ("-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}")
    require("openssl")
    subprocess.run([*command, *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    shutil.copy(key, directory / "service.pem.key")


class Instance:
    """One instance of the sample application, which uses the same port for each start."""

    def __init__(self, program: str, directory: Path, port: int, env: Mapping[str, str]) -> None:
        self.port = port
        self.starts: list[Server] = []
        self._program = program
        self._directory = directory
        self._env = {"SERVICE_TRUSTED_PROXIES": "1", "SERVICE_BIND": f"127.0.0.1:{port}", **env}
        self._stack = ExitStack()

    @property
    def server(self) -> Server:
        """Return the server of the latest start."""
        return self.starts[-1]

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        directory = self._directory / f"{self.port}-{len(self.starts)}"
        directory.mkdir()
        server = self._stack.enter_context(serve(self._program, directory, self._env))
        wait_until(lambda: server.get("/readyz").status == 200, "readiness")
        self.starts.append(server)

    def kill(self) -> None:
        """End all its processes with SIGKILL at once. Otherwise a proxy could ask one again that ends a bit later."""
        for pid in [self.server.process.pid, *(child.pid for child in self.server.children())]:
            os.kill(pid, signal.SIGKILL)
        self.server.process.wait(DEADLINE)
        wait_until(self._refuses, "connections are refused")  # some of its threads may outlive the process

    def _refuses(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == errno.ECONNREFUSED

    def close(self) -> None:
        """End the server if it still runs."""
        self._stack.close()


class Edge(Server):
    """A running proxy; ``port`` is its port with TLS, ``plain_port`` its port without TLS."""

    plain_port: int
    certificate: Path
    context: ssl.SSLContext

    def connect(self, *, tls: bool = True, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        """Return a connection to the proxy, for ``ask``."""
        return _TLSConnection(self.port, context or self.context) if tls else _PlainConnection(self.plain_port)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        port: int | None = None,
    ) -> Answer:
        """Send one request on a new connection: with TLS, or without TLS if ``port`` is given."""
        with contextlib.closing(self.connect(tls=port is None)) as connection:
            return ask(connection, method, path, headers, body)

    def connections(self) -> int:
        """Return the number of clients' connections to the TLS port, as Linux reports it."""
        # psutil first looks for the process of each connection. On a busy machine, that takes a second.
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(1 for row in rows if row[1].endswith(f":{self.port:04X}") and row[3] == _ESTABLISHED)


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port, timeout=DEADLINE)


class _TLSConnection(_PlainConnection):
    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port)
        self._context = context

    def connect(self) -> None:
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=NAME)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Send one request on a connection, for NAME unless ``headers`` name another host."""
    connection.request(method, path, body=body, headers={"Host": NAME, **(headers or {})})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


@dataclass(frozen=True)
class Site:
    """A proxy with its two instances."""

    edge: Edge
    instances: list[Instance]

    def lines(self, event: str | None = None, **fields: object) -> list[dict[str, object]]:
        """Return the lines of all instances with this event and these fields."""
        servers = [server for instance in self.instances for server in instance.starts]
        return [line for server in servers for line in server.lines(event, **fields)]


@contextlib.contextmanager
def site(
    name: str,
    directory: Path,
    env: Mapping[str, str] | None = None,
    *,
    server: str = "gunicorn",
    changes: Mapping[str, str] | None = None,
) -> Iterator[Site]:
    """Run the proxy ``name`` in front of two instances under ``server`` with ``env``.

    ``changes`` has replacements of texts in its configuration, by their old texts.
    """
    with ExitStack() as stack:
        plain, tls, *ports = (free_port() for _ in range(2 + len(ADDRESSES)))
        instances = [Instance(server, directory, port, env or {}) for port in ports]
        for instance in instances:
            stack.callback(instance.close)
            instance.start()
        yield Site(stack.enter_context(_edge(PROXIES[name], plain, tls, ports, changes or {})), instances)


@contextlib.contextmanager
def _edge(proxy: Proxy, plain: int, tls: int, instances: Sequence[int], changes: Mapping[str, str]) -> Iterator[Edge]:
    # A proxy changes its user, and that user may not read pytest's directory.
    with tempfile.TemporaryDirectory(prefix=f"{proxy.program}-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        proxy.configure(directory, plain, tls, instances, changes)
        with started(proxy.command(proxy.run, directory), directory) as server:
            edge = Edge(server.process, server.output)
            edge.port, edge.plain_port = tls, plain
            edge.certificate = directory / "tls" / "service.pem"
            edge.context = ssl.create_default_context(cafile=edge.certificate)
            wait_until(lambda: _answers(edge, changes.get(NAME, NAME)), f"{proxy.program} answers")
            yield edge


def _answers(edge: Edge, host: str) -> bool:
    if edge.process.poll() is not None:
        raise AssertionError(f"the proxy ended with {edge.process.returncode}")
    with contextlib.suppress(OSError, http.client.HTTPException):
        return edge.get("/healthz", {"Host": host}).status == 200
    return False
