"""The command ``check``: faults and risks of this environment, with their remedies."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Mapping

from flask_ops.cli.check import addresses, clock, configuration, ports, resources, stopping, storage, trial
from flask_ops.cli.check.deployment import Deployment, assemble, read_settings
from flask_ops.cli.check.trial import Trial
from flask_ops.cli.findings import Finding, as_json, as_table, failed
from flask_ops.core.settings import Settings


def run(
    options: argparse.Namespace,
    settings_class: type[Settings],
    application: str,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Write the findings to standard output. Return the exit code, 1 after an error."""
    server = options.server or _server()
    settings, problems = read_settings(settings_class, environ, server)
    tried = None if problems else _try(options, application, environ, with_gunicorn=server == "gunicorn")
    findings = [*_look(assemble(environ, server, settings, problems, tried, options.grace))]
    width = shutil.get_terminal_size((110, 24)).columns
    sys.stdout.write(as_json(findings, {"server": server}) if options.json else as_table(findings, width))
    return int(failed(findings))


def _try(options: argparse.Namespace, application: str, environ: Mapping[str, str], *, with_gunicorn: bool) -> Trial:
    if "application" in options:  # given on the command line, so it need not have a gunicorn.conf.py
        configuration = "python:flask_ops.gunicorn"
        return trial.run(application, environ, with_gunicorn=with_gunicorn, configuration=configuration)
    return trial.run(application, environ, with_gunicorn=with_gunicorn)


def _server() -> str:
    return "gunicorn" if importlib.util.find_spec("gunicorn") and sys.platform != "win32" else "waitress"


def _look(deployment: Deployment) -> Iterator[Finding]:
    yield from configuration.look(deployment)
    yield from addresses.look(deployment)
    yield from ports.look(deployment)
    yield from storage.look(deployment)
    yield from resources.look(deployment)
    yield from clock.look()
    yield from stopping.look(deployment)
