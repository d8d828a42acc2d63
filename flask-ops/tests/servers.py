"""The servers of the README, each as a command that serves on a port chosen by the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.process import BIN, PROJECT, REPOSITORY, Server, running

SAMPLE = "tests.sample:create_app"

UWSGI: list[str | Path] = [BIN / "uwsgi", "--ini", REPOSITORY / "deploy" / "uwsgi.ini", "--chdir", PROJECT]
"""uWSGI with the repository's configuration, for the tests' project."""

COMMANDS: dict[str, list[str | Path]] = {
    "gunicorn": [BIN / "gunicorn", f"{SAMPLE}()"],
    "waitress": [BIN / "python", "-m", "flask_ops", "serve", f"{SAMPLE}()"],
    "uwsgi": [*UWSGI, "--module", "tests.uwsgi_sample:application"],
}
DEVELOPMENT: dict[str, list[str | Path]] = {"flask": [BIN / "flask", "--app", SAMPLE, "run", "--port=0"]}
"""The development server, which writes a line of its own for each request."""
PROCESSES = {"gunicorn": 2, "waitress": 1, "uwsgi": 2}
"""The number of processes that answer requests."""


def waitress(**options: object) -> list[str | Path]:
    """Return the command that serves the sample application with these options of Waitress."""
    script = f"import flask_ops.waitress, tests.sample as s; flask_ops.waitress.serve(s.create_app(), **{options})"
    return [BIN / "python", "-c", script]


def serve(
    name: str,
    directory: Path,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    *,
    ready: str = "/healthz",
) -> AbstractContextManager[Server]:
    """Run the sample application under the server ``name`` during the block, which begins when it answers ``ready``."""
    program, *arguments = {**COMMANDS, **DEVELOPMENT}[name]
    settings = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2", "SERVICE_LOG_LEVEL": "debug"}
    if name in DEVELOPMENT:
        settings |= {"SERVICE_ENV": "development", "SERVICE_LOG_FORMAT": "json"}
    return running([program, *options, *arguments], directory, {**settings, **(env or {})}, ready=ready)
