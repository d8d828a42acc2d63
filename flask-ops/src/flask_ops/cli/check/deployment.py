"""The planned deployment, assembled from the environment and Gunicorn's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_ops.cli.check.trial import GunicornValues, Trial
from flask_ops.core.address import Address
from flask_ops.core.settings import Mode, Settings, SettingsError

_WAITRESS_CONNECTIONS = 100
"""Waitress's default for ``connection_limit``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The server of a deployment, its settings and its limits.

    ``settings`` has defaults in place of invalid values, which ``problems`` lists. ``connections`` is the maximum
    of open connections per worker. ``graceful_seconds`` is the time for requests in flight at a stop. ``grace`` is the
    time for the whole stop that the supervisor allows, in seconds. None means unknown.
    """

    environ: Mapping[str, str]
    server: str
    settings: Settings
    problems: list[str]
    trial: Trial | None
    binds: list[Address]
    workers: int
    threads: int
    connections: int
    graceful_seconds: float | None
    grace: float | None

    @property
    def gunicorn(self) -> GunicornValues | None:
        """The values of Gunicorn's configuration; None for another server, or if it cannot be loaded."""
        return self.trial.gunicorn if self.trial else None

    @property
    def processes(self) -> int:
        """The number of processes: the workers and, except with Waitress, a master."""
        return self.workers if self.server == "waitress" else self.workers + 1


def read_settings(settings: type[Settings], environ: Mapping[str, str], server: str) -> tuple[Settings, list[str]]:
    """Return the settings, with defaults in place of invalid values, and the problems."""
    # `python -m service` starts Waitress, and its default is development.
    default = Mode.DEVELOPMENT if server == "waitress" else Mode.PRODUCTION
    try:
        return settings.from_environ(environ, default_mode=default), []
    except SettingsError as error:
        return error.rest, error.problems


def assemble(
    environ: Mapping[str, str],
    server: str,
    settings: Settings,
    problems: list[str],
    trial: Trial | None,
    grace: float | None,
) -> Deployment:
    """Return the planned deployment."""
    common: dict[str, Any] = {
        "environ": environ,
        "server": server,
        "settings": settings,
        "problems": problems,
        "trial": trial,
    }
    values = trial.gunicorn if trial else None
    if values is not None:
        return Deployment(
            **common,
            binds=[*values.binds],
            workers=values.workers,
            threads=values.threads,
            connections=values.connections,
            graceful_seconds=values.graceful_seconds,
            grace=grace,
        )
    return Deployment(
        **common,
        binds=[settings.bind],
        workers=1 if server == "waitress" else settings.workers,
        threads=settings.threads,
        # A thread of uWSGI serves one connection.
        connections=_WAITRESS_CONNECTIONS if server == "waitress" else settings.threads,
        graceful_seconds=None if server == "uwsgi" else settings.graceful_seconds,
        grace=grace,
    )
