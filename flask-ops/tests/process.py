"""Real server processes for tests: started on a port chosen by the kernel, watched, and always ended."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import psutil

GRACE = 3.0
"""Seconds that a server has to stop at the end of its test."""

T = TypeVar("T")
REPOSITORY = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "project"
"""The folder in which servers start: a service like the template's, with views and checks for tests."""
BIN = Path(sys.executable).parent
DEADLINE = 20.0
"""Seconds after which a test stops waiting and fails."""


def wait_until(condition: Callable[[], T], what: str, deadline: float = DEADLINE) -> T:
    """Return the result of ``condition`` as soon as it is true; fail after ``deadline`` seconds."""
    start = time.monotonic()
    while True:
        result = condition()
        if result:
            return result
        waited = time.monotonic() - start
        if waited > deadline:
            raise AssertionError(f"not within {deadline:g} s: {what}")
        time.sleep(min(max(0.005, waited / 10), 0.05))  # many tests look at the same time


@dataclass(frozen=True)
class Answer:
    """A response as a client sees it."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


class Server:
    """A running server; ``output`` is the file with its output."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self.output = output
        self.port = 0
        self._management_port = 0

    @property
    def management_port(self) -> int:
        """Wait for the line with the port of the management listener, and return the port."""
        if not self._management_port:
            line, *_ = wait_until(lambda: self.lines("management listening"), "the management listener")
            self._management_port = int(line["address"].rpartition(":")[2])
        return self._management_port

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a GET request on a new connection."""
        return self.request("GET", path, headers)

    def manage(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send a request to the management listener on a new connection."""
        return self.request(method, path, headers, body, port=self.management_port)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        port: int | None = None,
    ) -> Answer:
        """Send one request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            # Close the response too: after an early end, it keeps the socket open even if the connection is closed.
            with connection.getresponse() as response:
                return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def text(self) -> str:
        """Return the server's output so far."""
        return self.output.read_text(errors="backslashreplace")

    def lines(self, event: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Return the JSON lines so far with this event and these fields."""
        wanted = dict(fields, event=event) if event else fields
        whole = self.text().rpartition("\n")[0]  # the last line may be incomplete
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]

    def line(self, event: str | None = None, **fields: Any) -> dict[str, Any]:
        """Wait for the line with this event and these fields; fail if there are two."""
        found = wait_until(lambda: self.lines(event, **fields), f"a line with {event} {fields} in\n{self.text()}")
        assert len(found) == 1, found
        return found[0]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def children(self) -> list[psutil.Process]:
        """Return the living descendants of the process."""
        living = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE:
                    living.append(child)
        return living

    def listening_ports(self) -> set[int]:
        """Return the TCP ports on which the process or a descendant listens."""
        ports = set()
        for process in [psutil.Process(self.process.pid), *self.children()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                ports |= {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        return ports


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    directory: Path,
    env: Mapping[str, str] | None = None,
    *,
    cwd: Path = PROJECT,
    ready: str = "/healthz",
) -> Iterator[Server]:
    """Run ``command`` during the block, which begins when the server answers ``ready``.

    ``directory`` holds its output and its temporary files. A failure shows the output. When a worker first answers
    /readyz, it has opened all of its files. When it answers /healthz, its checks may still be running.
    """
    with started(command, directory, env, cwd=cwd) as server:
        wait_until(lambda: _answers(server, ready), f"{command} answers {ready}")
        yield server


@contextlib.contextmanager
def started(
    command: Sequence[str | Path], directory: Path, env: Mapping[str, str] | None = None, *, cwd: Path = PROJECT
) -> Iterator[Server]:
    """Run ``command`` during the block, whatever it does."""
    output = directory / "output"
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    with output.open("ab") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={
                **clean_environ(),
                "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0",
                "SERVICE_DRAIN_SECONDS": "0",
                "SERVICE_QUEUE_SECONDS": f"{DEADLINE:g}",  # a busy machine is no overload
                "TMPDIR": str(temporary),
                "HOME": str(temporary),
                **(env or {}),
            },
        )
    server = Server(process, output)
    try:
        yield server
    except BaseException as error:
        error.add_note(f"--- the server wrote:\n{server.text()[-20_000:]}")
        raise
    finally:
        _end(process)


def run_python(script: str, stdout: int | IO[bytes] | None = None) -> str:
    """Run ``script`` with this interpreter in the folder of the tests' project, and return its standard error."""
    process = subprocess.run(
        [sys.executable, "-c", script],
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=PROJECT,
        env=clean_environ(),
        timeout=DEADLINE,
        check=False,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stderr


def clean_environ() -> dict[str, str]:
    """Return this process's environment without variables that configure the service."""
    ours = ("SERVICE_", "FLASK_", "WERKZEUG_", "PROMETHEUS_", "GUNICORN_")
    others = {"PORT", "WEB_CONCURRENCY"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours) and name not in others}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[1])}  # for tests.sample


def _answers(server: Server, path: str) -> bool:
    if server.process.poll() is not None:
        raise AssertionError(f"the server ended with {server.process.returncode}")
    for port in server.listening_ports():
        server.port = port
        with contextlib.suppress(OSError, http.client.HTTPException):
            # The management listener answers /readyz, but not /healthz.
            if all(server.get(asked).status == 200 for asked in dict.fromkeys(["/healthz", path])):
                return True
    return False


def end_drain(server: Server, number: signal.Signals) -> None:
    """End the drain by a further signal. A SIGTERM within two seconds only repeats the first one, so send it again."""
    server.process.send_signal(number)

    def has_ended() -> bool:
        if number == signal.SIGTERM and not server.lines("stopping"):
            server.process.send_signal(number)
        return bool(server.lines("stopping"))

    wait_until(has_ended, "the end of the drain")


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and its descendants, except those that have another parent now."""
    family = _family(process.pid)
    process.terminate()  # after a normal exit, coverage data is written
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(process.pid).suspend()  # so that it forks no more
        family += _family(process.pid)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait(DEADLINE)
    psutil.wait_procs([member for member in family if member.pid != process.pid], DEADLINE)
