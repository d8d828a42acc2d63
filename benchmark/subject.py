"""The subjects of the comparison, with their commands and the paths of probes and scrapes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.port import LOOPBACK

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Deployment:
    """The options of a server. ``aside`` is the port of the management or metrics listener."""

    port: int
    aside: int
    directory: Path
    workers: int = 2
    threads: int = 4
    routes: int = 0
    gunicorn: Sequence[str] = ()
    """More options for subjects that run under Gunicorn."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One row of the comparison. ``probes`` are paths. If ``probes_aside`` is true, they are on the port ``aside``."""

    name: str
    title: str
    command: Callable[[Deployment], list[str]]
    environ: Callable[[Deployment], Mapping[str, str]] = lambda _: {}
    probes: Sequence[str] = ("/healthz",)
    probes_aside: bool = False
    scrape: str = ""
    """Path of the metrics on the port ``aside``.

    It is empty if the metrics do not cover all workers, or if they are the same as for another subject.
    """


def gunicorn(application: str, *options: str) -> Callable[[Deployment], list[str]]:
    """Return a function that builds the command of an application under plain Gunicorn.

    `pip install gunicorn` brings no compiled HTTP parser. If this environment has one, the command does not use it.
    """

    def command(deployment: Deployment) -> list[str]:
        return [
            str(BIN / "gunicorn"),
            f"--bind={LOOPBACK}:{deployment.port}",
            "--worker-class=gthread",
            f"--workers={deployment.workers}",
            f"--threads={deployment.threads}",
            "--http-parser=python",
            *options,
            *deployment.gunicorn,
            application,
        ]

    return command


def _this_service(deployment: Deployment) -> list[str]:
    application = "benchmark.subjects.this_service:create_app()"
    return [str(BIN / "gunicorn"), f"--config={ROOT / 'gunicorn.conf.py'}", *deployment.gunicorn, application]


def service_environ(deployment: Deployment) -> dict[str, str]:
    """Return the settings of this service. It stops without a drain, because no load balancer needs one here."""
    return {
        "SERVICE_BIND": f"{LOOPBACK}:{deployment.port}",
        "SERVICE_MANAGEMENT_BIND": f"{LOOPBACK}:{deployment.aside}",
        "WEB_CONCURRENCY": str(deployment.workers),
        "SERVICE_THREADS": str(deployment.threads),
        "SERVICE_DRAIN_SECONDS": "0",
    }


def _exporter_environ(deployment: Deployment) -> dict[str, str]:
    store = deployment.directory / "metrics"
    store.mkdir(exist_ok=True)
    return {"PROMETHEUS_MULTIPROC_DIR": str(store), "METRICS_PORT": str(deployment.aside)}


def _uwsgi(deployment: Deployment) -> list[str]:
    return [
        str(BIN / "uwsgi"),
        f"--http11-socket={LOOPBACK}:{deployment.port}",
        "--module=benchmark.subjects.bare:app",
        "--master",
        f"--processes={deployment.workers}",
        f"--threads={deployment.threads}",
        "--need-app",
        "--die-on-term",
        "--disable-logging",
    ]


def _granian(deployment: Deployment) -> list[str]:
    return [
        str(BIN / "granian"),
        "--interface=wsgi",
        f"--host={LOOPBACK}",
        f"--port={deployment.port}",
        f"--workers={deployment.workers}",
        f"--blocking-threads={deployment.threads}",
        f"--backpressure={2 * deployment.threads}",
        "benchmark.subjects.bare:app",
    ]


_EXPORTER_HOOKS = f"--config={Path(__file__).parent / 'subjects' / 'exporter_gunicorn.py'}"

SUBJECTS: dict[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject("bare", "bare Flask, Gunicorn", gunicorn("benchmark.subjects.bare:app")),
        Subject("access-log", "+ Gunicorn's access log", gunicorn("benchmark.subjects.bare:app", "--access-logfile=-")),
        Subject(
            "exporter",
            "+ prometheus-flask-exporter",
            gunicorn("benchmark.subjects.exporter:app", _EXPORTER_HOOKS),
            _exporter_environ,
            scrape="/metrics",
        ),
        Subject(
            "structlog",
            "the exporter + structlog",
            gunicorn("benchmark.subjects.exporter_structlog:app", _EXPORTER_HOOKS),
            _exporter_environ,
        ),
        Subject("opentelemetry", "OpenTelemetry + JSON logger", gunicorn("benchmark.subjects.opentelemetry_json:app")),
        Subject(
            "service",
            "this service, everything on",
            _this_service,
            service_environ,
            probes=("/livez", "/readyz"),
            probes_aside=True,
            scrape="/metrics",
        ),
        Subject("granian", "bare Flask, Granian with backpressure", _granian),
        Subject("uwsgi", "bare Flask, uWSGI http11-socket", _uwsgi),
    )
}
REFERENCE = "bare"
"""The subject that all ratios compare with."""
