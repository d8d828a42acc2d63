"""Local programs that the drill and ``make monitor`` start, and always end."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
GUNICORN = Path(sys.executable).parent / "gunicorn"
GRACE_SECONDS = 3.0
_signals: list[int] = []


class MissingProgramError(RuntimeError):
    """A program is not installed. The message says how to install it."""


class Interrupted(BaseException):
    """A signal asked this process to end. ``number`` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Program:
    """A program in a new process group, together with its children. Its output goes to a file."""

    def __init__(
        self,
        command: Sequence[str | Path],
        output: Path,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> None:
        """Start the program, with ``env`` as its whole environment if given.

        If ``stdout`` is given, a descriptor, it receives standard output. Only standard error goes to ``output`` then.
        """
        with output.open("ab") as file:
            self.process = subprocess.Popen(  # noqa: S603 - no command comes from a user
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=file if stdout is None else stdout,
                stderr=file,
                env=None if env is None else dict(env),
                cwd=ROOT,
                start_new_session=True,
            )
        self.output = output

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the program and its children. Kill those that do not end within GRACE_SECONDS."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_for(self, url: str, seconds: float = 30.0) -> None:
        """Wait until ``url`` responds with 200. If it does not, raise RuntimeError with the end of the output."""
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: self.process.poll() is not None or answers(url), url, seconds)
        if self.process.poll() is not None or not answers(url):
            text = self.output.read_text(errors="backslashreplace")[-4000:]
            raise RuntimeError(f"{self.process.args!r}: no response from {url}:\n{text}")


def environ_without_settings() -> dict[str, str]:
    """Return the environment without the variables that configure the service."""
    ours = ("SERVICE_", "PROMETHEUS_", "GUNICORN_", "PORT", "WEB_CONCURRENCY", "FLASK_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def find(package: str, *others: str) -> Path:
    """Return the path of a program. Its name is the Debian package name or one of ``others``.

    Raise MissingProgramError if it is not installed.
    """
    for name in (package, *others):
        if found := shutil.which(name):
            return Path(found)
    raise MissingProgramError(
        f"{package} is not installed; on Debian: apt-get install --no-install-recommends {package}"
    )


def prometheus(directory: Path, port: int, *more: str) -> list[str | Path]:
    """Return the command that runs Prometheus with ``directory``/prometheus.yml."""
    return [
        find("prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        *more,
    ]


def alertmanager(directory: Path, port: int) -> list[str | Path]:
    """Return the command that runs one Alertmanager, without a cluster, with ``directory``/alertmanager.yml."""
    return [
        find("prometheus-alertmanager", "alertmanager"),
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]


def free_port() -> int:
    """Return a loopback port that the kernel gives to no other process while this process runs.

    A socket stays bound to the port. Servers can still listen there, because they set SO_REUSEADDR. Without the bound
    socket, the kernel would soon give the port to the connection of a client.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    atexit.register(held.close)
    return int(held.getsockname()[1])


def occupied(port: int) -> bool:
    """Return whether a program listens on this loopback port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Return whether ``url`` responds with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - no address comes from a user
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def end_by_signal() -> None:
    """Make SIGINT, SIGTERM and SIGHUP raise Interrupted in the current or next call of ``wait``.

    The handlers themselves raise nothing. An exception while a program starts or ends would leave programs running.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: _signals.append(number))


def wait(seconds: float) -> None:
    """Wait for this time. Raise Interrupted after a signal, see ``end_by_signal``."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if _signals:
            raise Interrupted(_signals[0])
        time.sleep(min(left, 0.05))


def wait_until(condition: Callable[[], object], what: str, seconds: float) -> None:
    """Wait until ``condition`` is true.

    Raise TimeoutError with the text ``what`` after this time, and Interrupted after a signal.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"timed out after {seconds:g} s: {what}")
        wait(0.05)
