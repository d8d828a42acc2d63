"""Two services, Prometheus, Alertmanager and a webhook on loopback, for one fault."""

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
from observability.drill.service import Service
from observability.drill.shipped import WATCHDOG, shipped
from observability.drill.webhook import Webhook
from observability.programs import Program, free_port

SOURCE = Path(__file__).parent.parent
LOOSE = {"SERVICE_SLO_AVAILABILITY": "90", "SERVICE_SLO_LATENCY": "90% < 300ms"}
"""The objectives of the neighbour. Those of the service are the defaults."""


class Stack:
    """A service and its neighbour with their monitoring, which run as long as the ``with`` block.

    A fault breaks the service. Its neighbour has looser objectives and another team. ``env`` has more settings of the
    service. ``source`` is the folder with rules and configuration.
    """

    def __init__(self, env: dict[str, str] | None = None, source: Path = SOURCE) -> None:
        self._source = source
        self._temporary = tempfile.TemporaryDirectory(prefix="drill-", ignore_cleanup_errors=True)
        self.directory = Path(self._temporary.name)
        self._running: list[Program] = []
        job = configuration.job(source / "prometheus.yml")
        self.service = Service(job, self.directory, env or {}, self._running)
        self.neighbour = Service(f"{job}-neighbour", self.directory, LOOSE, self._running)
        self.webhook = Webhook()
        self.prometheus_url = f"http://127.0.0.1:{free_port()}"
        self._prometheus: Program

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

    def astray(self) -> set[str]:
        """Return the shipped alerts that arrived about the neighbour, or at a receiver of another team."""
        about = {f"{self.neighbour.job}: {name}" for name in shipped(self.webhook.arrived(self.neighbour.job))}
        own = {f"{self.service.job}-{receiver}" for receiver in ("pager", "tickets")}
        found = self.webhook.receivers(self.service.job).items()
        return about | {f"{name} at {' '.join(sorted(names - own))}" for name, names in found if names - own}

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the current result of a query, a vector."""
        url = f"{self.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    def scrape(self, *targets: str) -> None:
        """Make Prometheus scrape only these targets of the service, and its neighbour, from now on."""
        path = self.directory / "prometheus.yml"
        config = yaml.safe_load(path.read_text())
        config["scrape_configs"][0]["static_configs"][0]["targets"] = list(targets)
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        self._prometheus.process.send_signal(signal.SIGHUP)

    def _start(self) -> None:
        self.service.start()
        self.neighbour.start()
        alertmanager = free_port()
        scaling.write(
            self._source,
            self.directory,
            target=self.service.target,
            alertmanager_address=f"127.0.0.1:{alertmanager}",
            webhook=self.webhook.url,
            others={self.neighbour.job: self.neighbour.target},
            teams=[self.service.job, self.neighbour.job],
        )
        notifying = self._run("alertmanager", programs.alertmanager(self.directory, alertmanager))
        port = int(self.prometheus_url.rpartition(":")[2])
        self._prometheus = self._run("prometheus", programs.prometheus(self.directory, port, *scaling.flags()))
        notifying.wait_for(f"http://127.0.0.1:{alertmanager}/-/ready")
        self._prometheus.wait_for(f"{self.prometheus_url}/-/ready")
        programs.wait_until(lambda: len(self.query("up == 1")) == 2, "the first scrapes", 30)
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
