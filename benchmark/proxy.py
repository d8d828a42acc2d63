"""Reverse proxies in front of a subject, each with connections that it keeps."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmark.port import LOOPBACK, reserved
from benchmark.server import FailedError

START_SECONDS = 10.0

_HAPROXY = """\
global
    maxconn 8000
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend in
    bind {address}
    default_backend out
backend out
    http-reuse always
    server service {upstream}
"""
_NGINX = """\
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log stderr crit;
events {{ worker_connections 8000; }}
http {{
    access_log off;
    client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
    uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
    upstream service {{ server {upstream}; keepalive 64; }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
COMMANDS = {
    "HAProxy": (_HAPROXY, ["haproxy", "-db", "-f"]),
    "nginx": (_NGINX, ["nginx", "-e", "stderr", "-c"]),
}


@contextlib.contextmanager
def in_front_of(port: int, name: str) -> Iterator[int]:
    """Run a proxy, and return its port. An empty ``name`` is no proxy. Raise FailedError if it does not answer."""
    if not name:
        yield port
        return
    text, command = COMMANDS[name]
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, reserved() as own:
        configuration = Path(directory) / "configuration"
        configuration.write_text(
            text.format(address=f"{LOOPBACK}:{own}", upstream=f"{LOOPBACK}:{port}", directory=directory)
        )
        process = subprocess.Popen([*command, str(configuration)], stdin=subprocess.DEVNULL)
        try:
            _wait(own, name)
            yield own
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _wait(port: int, name: str) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        connection = HTTPConnection(LOOPBACK, port, timeout=START_SECONDS)
        with contextlib.closing(connection), contextlib.suppress(OSError, HTTPException):
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return
        if time.monotonic() > end:
            raise FailedError(f"{name} sent no response within {START_SECONDS:g} s")
        time.sleep(0.01)
