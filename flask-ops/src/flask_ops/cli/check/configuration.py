"""Checks of the settings, the server's configuration and the application."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from flask_ops.cli.check.deployment import Deployment
from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.core.settings import LogFormat, Mode, unknown_variables


def look(deployment: Deployment) -> Iterator[Finding]:
    """Yield findings about the settings, the server and the application."""
    yield from _settings(deployment)
    yield _mode(deployment)
    yield from _server(deployment)
    yield from _application(deployment)
    settings, values = deployment.settings, deployment.gunicorn
    for problem in values.problems if values else ():
        yield error("gunicorn", f"It could not serve: {problem}.", "Correct gunicorn.conf.py or GUNICORN_CMD_ARGS.")
    if values is not None and values.worker_class_fault:
        from flask_ops.servers.gunicorn import worker_classes  # noqa: PLC0415 - Gunicorn may not be installed

        text = f"The service does not start with this worker_class: {values.worker_class_fault}."
        yield error("worker class", text, worker_classes.CURE)
    if values is not None and values.reload:
        yield warning(
            "reload",
            "Gunicorn reloads when a file changes: it could load a half-copied deployment.",
            "Remove reload from gunicorn.conf.py and GUNICORN_CMD_ARGS; SIGHUP reloads on demand.",
        )
    if settings.log_format is LogFormat.CONSOLE:
        yield warning(
            "log", "The format is console: a collector cannot read fields from the lines.", "SERVICE_LOG_FORMAT=json"
        )
    else:
        yield ok("log", "One JSON object per line.")
    if settings.secret_key is None:
        yield note("secret", "Without SERVICE_SECRET_KEY, Flask refuses sessions. Set it if a view uses them.")
    else:
        yield ok("secret", "Sessions can be signed.")


def _settings(deployment: Deployment) -> Iterator[Finding]:
    for problem in deployment.problems:
        yield error("settings", problem, "Correct it: no server starts. The other checks use the default.")
    for name, nearest in unknown_variables(deployment.environ, type(deployment.settings)).items():
        meant = f"Did you mean {nearest}?" if nearest else "`python -m service --help` lists the known settings."
        yield warning("settings", f"Nothing reads {name}.", meant)
    if not deployment.problems:
        yield ok("settings", "All values are valid.")


def _mode(deployment: Deployment) -> Finding:
    mode = deployment.settings.mode
    if mode is Mode.PRODUCTION:
        return ok("mode", "production")
    by_default = not any(deployment.environ.get(name, "").strip() for name in ("SERVICE_ENV", "FLASK_ENV"))
    reason = ", the default of `python -m service` without SERVICE_ENV" if by_default else ""
    if mode is Mode.DEVELOPMENT:
        text = f"The mode is development{reason}: debug is on, and `python -m service` starts the debugger."
        return error("mode", text, "SERVICE_ENV=production")
    return error("mode", "The mode is testing: Flask passes exceptions to the server.", "SERVICE_ENV=production")


def _server(deployment: Deployment) -> Iterator[Finding]:
    """Look for the server. uWSGI may be in a place that this check cannot see, so that is only a warning."""
    if deployment.server == "waitress" and importlib.util.find_spec("waitress") is None:
        yield error("server", "Waitress is not installed for this Python.", "pip install waitress")
    beside = str(Path(sys.executable).parent)
    if deployment.server == "uwsgi" and not any(
        shutil.which("uwsgi", path=path) for path in (deployment.environ.get("PATH"), beside)
    ):
        text = f"There is no program uwsgi on the PATH, nor in {beside}."
        yield warning(
            "server", text, "Install pyuwsgi with pip, or uWSGI of your distribution; or start it by its path."
        )


def _application(deployment: Deployment) -> Iterator[Finding]:
    trial = deployment.trial
    if trial is None:
        yield note("application", "Not loaded, because the settings are invalid.")
    elif trial.fault is not None:
        cure = f"Start {deployment.server} here by hand; its log has the traceback."
        if deployment.server == "gunicorn" and not Path("gunicorn.conf.py").exists():
            cure = f"Gunicorn expects gunicorn.conf.py in {Path.cwd()}, unless --config names another file."
        yield error("application", f"It cannot be loaded: {trial.fault}", cure)
    else:
        yield ok("application", f"Loaded in {trial.seconds:.1f} s.")
