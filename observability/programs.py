"""The programs on this machine that the drill and ``make monitor`` start, and end for sure."""

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
    """A program is not installed; the message says how to get it."""


class Interrupted(BaseException):
    """A signal has told this process to end; ``number`` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Program:
    """A program that runs with all that it starts in a process group of its own; its output goes to a file."""

    def __init__(
        self,
        command: Sequence[str | Path],
        output: Path,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> None:
        """Start it, with ``env`` as its whole environment if given.

        With ``stdout``, a descriptor, only its standard error goes to ``output``.
        """
        with output.open("ab") as file:
            self.process = subprocess.Popen(  # noqa: S603 - the commands are ours
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
        """End it and what it has started: what does not go by itself is killed after GRACE_SECONDS."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_for(self, url: str, seconds: float = 30.0) -> None:
        """Return when ``url`` answers with 200. Raises RuntimeError with the end of its output if it does not."""
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: self.process.poll() is not None or answers(url), url, seconds)
        if self.process.poll() is not None or not answers(url):
            text = self.output.read_text(errors="backslashreplace")[-4000:]
            raise RuntimeError(f"{self.process.args!r} does not answer {url}:\n{text}")


def environ_without_settings() -> dict[str, str]:
    """Return the environment without what would configure the service."""
    ours = ("SERVICE_", "PROMETHEUS_", "GUNICORN_", "PORT", "WEB_CONCURRENCY", "FLASK_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def find(package: str, *others: str) -> Path:
    """Return the path of a program, called as its package of Debian or as one of ``others``.

    Raises MissingProgramError.
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
    """Return the command that runs Alertmanager, alone, with ``directory``/alertmanager.yml."""
    return [
        find("prometheus-alertmanager", "alertmanager"),
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]


def free_port() -> int:
    """Return a port of loopback that nobody else gets while this process lives.

    A socket stays bound to it. Servers say SO_REUSEADDR, and so may listen there all the same; without it, the
    kernel soon gives the port to some client's connection.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    atexit.register(held.close)
    return int(held.getsockname()[1])


def occupied(port: int) -> bool:
    """Tell whether something listens on this port of loopback."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Tell whether ``url`` answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - only addresses of ours
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def end_by_signal() -> None:
    """Have SIGINT, SIGTERM and SIGHUP end what waits here, now or next, by Interrupted.

    Only what waits: raised while a program is being started, or while some are being ended, an exception would leave
    programs behind of which nobody knows.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: _signals.append(number))


def wait(seconds: float) -> None:
    """Return after so many seconds. Raises Interrupted, see ``end_by_signal``."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if _signals:
            raise Interrupted(_signals[0])
        time.sleep(min(left, 0.05))


def wait_until(condition: Callable[[], object], what: str, seconds: float) -> None:
    """Return as soon as ``condition`` holds.

    Raises TimeoutError, which says ``what``, after so many seconds, and Interrupted.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        wait(0.05)
