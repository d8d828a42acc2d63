"""The planned deployment: the settings, and a trial load of the application and of Gunicorn's configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask_ops.cli.findings import Finding, Severity
from flask_ops.core import multiprocess
from flask_ops.core.address import Address
from flask_ops.core.settings import Mode, Settings, SettingsError

SECONDS = 30.0
"""Limit for the whole trial. Gunicorn allows a worker the same time to start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The addresses and the limits of a server.

    ``keep_alive_seconds`` is the time that an idle connection stays open, None if the server closes it at once.
    ``graceful_seconds`` is the time for requests in flight at a stop, None if unknown.
    """

    binds: list[Address]
    workers: int
    keep_alive_seconds: int | None
    graceful_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The result of a trial.

    ``fault`` is the reason of a failure. ``limits`` and ``findings`` are those of Gunicorn's configuration.
    ``shared_bytes`` is the anonymous memory of a process before it forks workers, and ``worker_bytes`` the memory that
    each worker adds when it imports the application. None means not measured.
    """

    fault: str | None = None
    shared_bytes: int | None = None
    worker_bytes: int | None = None
    limits: Limits | None = None
    findings: Sequence[Finding] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """The server of a deployment, its settings and a trial load.

    ``settings`` has defaults in place of invalid values, which ``problems`` lists. ``grace`` is the time for the whole
    stop that the supervisor allows, in seconds. None means unknown.
    """

    environ: Mapping[str, str]
    server: str
    settings: Settings
    problems: list[str]
    trial: Trial
    grace: float | None

    @property
    def limits(self) -> Limits:
        """The limits that Gunicorn's configuration sets or, for another server, the settings."""
        if self.trial.limits is not None:
            return self.trial.limits
        settings, is_uwsgi = self.settings, self.server == "uwsgi"
        return Limits(
            binds=[settings.bind],
            workers=1 if self.server == "waitress" else settings.workers,
            keep_alive_seconds=None if is_uwsgi else settings.keep_alive_seconds,
            graceful_seconds=None if is_uwsgi else settings.graceful_seconds,
        )

    @property
    def is_in_kubernetes(self) -> bool:
        """True in a pod."""
        return bool(self.environ.get("KUBERNETES_SERVICE_HOST"))


def read_settings(
    settings: type[Settings], environ: Mapping[str, str], server: str, *, is_given: bool = False
) -> tuple[Settings, list[str]]:
    """Return the settings, with defaults in place of invalid values, and the problems."""
    # `python -m service` starts Waitress, and its default is development. That of `python -m flask_ops serve` is not.
    default = Mode.DEVELOPMENT if server == "waitress" and not is_given else Mode.PRODUCTION
    try:
        return settings.from_environ(environ, default_mode=default), []
    except SettingsError as error:
        return error.rest, error.problems


def load(application: str, environ: Mapping[str, str], server: str, *, is_given: bool, checks: bool = False) -> Trial:
    """Load ``application``, ``module:name`` or ``module:factory()``, and Gunicorn's configuration if it is the server.

    ``is_given`` is true for an application of the command line: it overrides the one of gunicorn.conf.py, and needs no
    such file. ``checks`` runs each readiness check once. The trial runs in a separate process: an import can end its
    process, or leave threads and metrics behind.
    """
    # Applications may write metrics during their import, which must not reach a store in use.
    child = {name: value for name, value in environ.items() if name != multiprocess.VARIABLE}
    module, given = "flask_ops.cli.check.loading", "given" if is_given else ""
    command = [sys.executable, "-m", module, application, server, given, "checks" if checks else ""]
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter and module
            command, env=child, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Trial(fault=f"not loaded within {SECONDS:g} seconds")
    try:
        found = json.loads(done.stdout.rpartition(b"\n")[2])  # the start of Python may print other lines
    except ValueError:
        reason = _last_line(done.stderr) if done.returncode else ""
        return Trial(fault=reason or f"it exits with {done.returncode} before all is loaded")
    findings = [Finding(Severity(severity), *texts) for severity, *texts in found.pop("findings")]
    limits = found.pop("limits")
    if limits is not None:
        limits = Limits(**{**limits, "binds": [Address(*each) for each in limits["binds"]]})
    return Trial(findings=findings, limits=limits, **found)


def _last_line(text: bytes) -> str:
    """Return the last line, or only its event if it is a log line, as after ``configure()``."""
    line = text.decode(errors="backslashreplace").strip().rpartition("\n")[2].strip()
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return line
