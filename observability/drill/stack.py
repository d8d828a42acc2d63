"""The service, Prometheus, Alertmanager and a webhook on loopback, for one fault."""

from __future__ import annotations

import json
import signal
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Self

import yaml

from observability import configuration, programs
from observability.drill import scaling
from observability.drill.shipped import WATCHDOG, shipped
from observability.drill.webhook import Webhook
from observability.programs import Program, free_port

SOURCE = Path(__file__).parent.parent
THREADS = 8
REQUEST_TIMEOUT_SECONDS = 5
"""A request that runs for longer is stuck."""


class Stack:
    """A service with its monitoring, which runs as long as the ``with`` block.

    ``env`` has more settings of the service. ``source`` is the folder with rules and configuration.
    """

    def __init__(self, env: dict[str, str] | None = None, source: Path = SOURCE) -> None:
        self._source = source
        self.job = configuration.job(source / "prometheus.yml")
        self._temporary = tempfile.TemporaryDirectory(prefix="drill-", ignore_cleanup_errors=True)
        self.directory = Path(self._temporary.name)
        self.port, self.management_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.webhook = Webhook()
        self.prometheus_url = f"http://127.0.0.1:{free_port()}"
        self._running: list[Program] = []
        self.service: Program
        self._prometheus: Program
        self._env = env or {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for program in reversed(self._running):
            program.stop()
        self.webhook.stop()
        self._temporary.cleanup()

    def start_service(self, stdout: int | None = None) -> None:
        """Start the service, again if it was stopped. Write its log to the descriptor ``stdout`` if given."""
        temporary = self.directory / "tmp"
        temporary.mkdir(exist_ok=True)
        self.service = Program(
            [programs.GUNICORN, "observability.drill.application:create_app()"],
            self.directory / "service.log",
            {
                **programs.environ_without_settings(),
                "SERVICE_BIND": f"127.0.0.1:{self.port}",
                "SERVICE_MANAGEMENT_BIND": f"127.0.0.1:{self.management_port}",
                "WEB_CONCURRENCY": "2",
                "SERVICE_THREADS": str(THREADS // 2),
                "SERVICE_DRAIN_SECONDS": "0",
                "SERVICE_GRACEFUL_SECONDS": "1",
                "SERVICE_REQUEST_TIMEOUT": str(REQUEST_TIMEOUT_SECONDS),
                "TMPDIR": str(temporary),
                **self._env,
            },
            stdout,
        )
        self._running.append(self.service)
        self.service.wait_for(f"http://127.0.0.1:{self.management_port}/readyz")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the current result of a query, a vector."""
        url = f"{self.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    def scrape(self, *targets: str) -> None:
        """Make Prometheus scrape only these targets from now on."""
        path = self.directory / "prometheus.yml"
        config = yaml.safe_load(path.read_text())
        config["scrape_configs"][0]["static_configs"] = [{"targets": list(targets)}]
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        self._prometheus.process.send_signal(signal.SIGHUP)

    def workers(self) -> list[int]:
        """Return the process ids of the workers. It works on Linux only."""
        master = self.service.process.pid
        return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]

    def store(self) -> Path:
        """Return the folder in which the workers keep their metrics."""
        (found,) = (self.directory / "tmp").glob("service-metrics-*")
        return found

    def _start(self) -> None:
        self.start_service()
        alertmanager = free_port()
        scaling.write(
            self._source,
            self.directory,
            target=f"127.0.0.1:{self.management_port}",
            alertmanager_address=f"127.0.0.1:{alertmanager}",
            webhook=self.webhook.url,
        )
        notifying = self._run("alertmanager", programs.alertmanager(self.directory, alertmanager))
        port = int(self.prometheus_url.rpartition(":")[2])
        self._prometheus = self._run("prometheus", programs.prometheus(self.directory, port, *scaling.flags()))
        notifying.wait_for(f"http://127.0.0.1:{alertmanager}/-/ready")
        self._prometheus.wait_for(f"{self.prometheus_url}/-/ready")
        programs.wait_until(lambda: self.query(f'up{{job="{self.job}"}} == 1'), "the first scrape", 30)
        # Prometheus takes five seconds to find its target, and no setting shortens that. Until then,
        # ServiceTargetAbsent can fire.
        programs.wait_until(lambda: shipped(self._firing(alertmanager)) == {WATCHDOG}, "nothing but the watchdog", 60)
        self.webhook.forget()
        programs.wait_until(lambda: WATCHDOG in self.webhook.arrived(), "the watchdog", 30)

    def _firing(self, alertmanager: int) -> list[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{alertmanager}/api/v2/alerts", timeout=10) as answer:
            return [alert["labels"]["alertname"] for alert in json.load(answer)]

    def _run(self, name: str, command: list[str | Path]) -> Program:
        self._running.append(Program(command, self.directory / f"{name}.log"))
        return self._running[-1]
