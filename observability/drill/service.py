"""A service of the drill: its process, and the places to look at and to break."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from observability import programs
from observability.programs import Program, free_port

THREADS = 8
REQUEST_TIMEOUT_SECONDS = 5
"""A request that runs for longer is stuck."""


class Service:
    """The application of the drill under Gunicorn, with two workers. Its team has the name of its job."""

    def __init__(self, job: str, directory: Path, env: Mapping[str, str], running: list[Program]) -> None:
        """Choose the ports. ``env`` has more settings. Each started program is added to ``running``."""
        self.job, self._env, self._running = job, env, running
        self.port, self.management_port = free_port(), free_port()
        self.target = f"127.0.0.1:{self.management_port}"
        self._log, self._temporary = directory / f"{job}.log", directory / f"tmp-{job}"
        self.program: Program

    def start(self, stdout: int | None = None) -> None:
        """Start it, again if it was stopped. Write its log to the descriptor ``stdout`` if given."""
        self._temporary.mkdir(exist_ok=True)
        self.program = Program(
            [programs.GUNICORN, "observability.drill.application:create_app()"],
            self._log,
            {
                **programs.environ_without_settings(),
                "SERVICE_NAME": self.job,
                "SERVICE_TEAM": self.job,
                "SERVICE_BIND": f"127.0.0.1:{self.port}",
                "SERVICE_MANAGEMENT_BIND": self.target,
                "WEB_CONCURRENCY": "2",
                "SERVICE_THREADS": str(THREADS // 2),
                "SERVICE_DRAIN_SECONDS": "0",
                "SERVICE_GRACEFUL_SECONDS": "1",
                "SERVICE_REQUEST_TIMEOUT": str(REQUEST_TIMEOUT_SECONDS),
                "TMPDIR": str(self._temporary),
                **self._env,
            },
            stdout,
        )
        self._running.append(self.program)
        self.program.wait_for(f"http://{self.target}/readyz")

    def workers(self) -> list[int]:
        """Return the process ids of the workers. It works on Linux only."""
        master = self.program.process.pid
        return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]

    def store(self) -> Path:
        """Return the folder in which the workers keep their metrics."""
        (found,) = self._temporary.glob("service-metrics-*")
        return found
