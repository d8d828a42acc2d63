"""A server process of a subject: its start, the time to its first response, and its end."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark import process_tree
from benchmark.log_sink import LogSink, file_sink
from benchmark.port import LOOPBACK, reserved
from benchmark.subject import ROOT, Deployment, Subject

START_SECONDS = 60.0
STOP_SECONDS = 20.0
"""Time limit for a server to stop after SIGTERM."""
ANSWER_SECONDS = 30.0

_POLL_SECONDS = 0.001
_CONFIGURE = ("SERVICE_", "FLASK_", "PROMETHEUS_", "GUNICORN_", "UWSGI_", "OTEL_", "BENCHMARK_")
_CONFIGURE_TOO = {
    "PORT",
    "WEB_CONCURRENCY",
    # Installed packages have compiled bytecode. Without this variable, a checkout has it too after its first start.
    "PYTHONDONTWRITEBYTECODE",
}


class FailedError(RuntimeError):
    """A server could not be measured."""


class Server:
    """A running server. ``first_answer`` is the time from start to the first response with status 200, in seconds."""

    def __init__(self, process: subprocess.Popen[bytes], deployment: Deployment, subject: Subject) -> None:
        self.process = process
        self.deployment = deployment
        self.subject = subject
        self.first_answer = 0.0

    def url(self, path: str = "/") -> str:
        """Return the URL of a path of the application."""
        return f"http://{LOOPBACK}:{self.deployment.port}{path}"

    def get(self, path: str, *, aside: bool = False, timeout: float = ANSWER_SECONDS) -> bytes:
        """Return the body of a response. Raise OSError or HTTPException if the status is not 200."""
        port = self.deployment.aside if aside else self.deployment.port
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise http.client.HTTPException(f"{path}: expected status 200, got {response.status}")
        return body

    def workers(self) -> list[int]:
        """Return the pids of the worker processes."""
        return process_tree.children(self.process.pid)

    def wait(self, started: float) -> None:
        """Wait for the first response, then for the other workers. Raise FailedError without a response."""
        while True:
            if self.process.poll() is not None:
                raise FailedError(f"{self.subject.name} ended with {self.process.returncode}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.get("/")
                break
            if time.perf_counter() - started > START_SECONDS:
                raise FailedError(f"{self.subject.name} sent no response within {START_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)
        self.first_answer = time.perf_counter() - started
        while len(self.workers()) < self.deployment.workers and time.perf_counter() - started < START_SECONDS:
            time.sleep(_POLL_SECONDS)

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """Stop the server and its descendants. Kill those that take longer than ``patience`` seconds."""
        if self.process.returncode is not None:
            return
        family = process_tree.descendants(self.process.pid)
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def serving(
    subject: Subject,
    sink: LogSink | None = None,
    *,
    workers: int = 2,
    threads: int = 4,
    routes: int = 0,
    gunicorn: Sequence[str] = (),
) -> Iterator[Server]:
    """Run the server of a subject until the block ends. Its output goes to ``sink`` if given, otherwise to a file.

    It runs in a temporary folder, so it finds no other configuration. Raise FailedError if it fails. The error includes
    the end of the output if that is a file.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        ports = stack.enter_context(reserved()), stack.enter_context(reserved())
        output = directory / "output"
        if sink is None:
            sink = stack.enter_context(file_sink(output))
        deployment = Deployment(*ports, directory, workers, threads, routes, gunicorn)
        started = time.perf_counter()
        process = subprocess.Popen(
            subject.command(deployment),
            stdin=subprocess.DEVNULL,
            stdout=sink.descriptor,
            stderr=sink.descriptor,
            cwd=directory,
            env=_environ(subject, deployment),
        )
        server = Server(process, deployment, subject)
        try:
            server.wait(started)
            yield server
        except FailedError as error:
            if output.exists():
                error.add_note(output.read_text(errors="replace")[-4000:])
            raise
        finally:
            server.stop()


def _environ(subject: Subject, deployment: Deployment) -> Mapping[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_CONFIGURE) and name not in _CONFIGURE_TOO
    }
    directory = str(deployment.directory)
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "HOME": directory,
        "TMPDIR": directory,
        "BENCHMARK_ROUTES": str(deployment.routes),
        **subject.environ(deployment),
    }
