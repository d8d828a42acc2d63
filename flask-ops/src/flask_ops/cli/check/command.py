"""The command ``check``, and its checks of the settings, the application and the stop."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from flask_ops.cli.check import addresses, resources
from flask_ops.cli.check.deployment import Deployment, Trial, load, read_settings
from flask_ops.cli.findings import Finding, error, note, ok, report, warning
from flask_ops.core.settings import Mode, unknown_variables


def run(options: argparse.Namespace) -> int:
    """Report the faults and risks of this environment, and return the exit code."""
    has_gunicorn = importlib.util.find_spec("gunicorn") is not None and sys.platform != "win32"
    server = options.server or ("gunicorn" if has_gunicorn else "waitress")
    settings, problems = read_settings(options.settings, os.environ, server, is_given=options.is_given)
    trial = (
        Trial()
        if problems
        else load(options.application, os.environ, server, is_given=options.is_given, checks=options.checks)
    )
    deployment = Deployment(os.environ, server, settings, problems, trial, options.grace)
    findings = [*look(deployment), *addresses.look(deployment), *resources.look(deployment)]
    return report(findings, {"server": server}, as_json=options.json)


def look(deployment: Deployment) -> Iterator[Finding]:
    """Yield findings about the settings, the application and the stop."""
    yield from _settings(deployment)
    yield _mode(deployment)
    yield _application(deployment)
    yield from deployment.trial.findings
    yield _grace(deployment)


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
    if mode is Mode.DEVELOPMENT:
        default = "the default of `python -m service` without SERVICE_ENV"
        text = f"The mode is development, {default}: debug is on, and `python -m service` starts the debugger."
        return error("mode", text, "SERVICE_ENV=production")
    return error("mode", "The mode is testing: Flask passes exceptions to the server.", "SERVICE_ENV=production")


def _application(deployment: Deployment) -> Finding:
    trial = deployment.trial
    if deployment.problems:
        return note("application", "Not loaded, because the settings are invalid.")
    if trial.fault is None:
        return ok("application", "It can be loaded.")
    cure = f"Start {deployment.server} here by hand; its log has more."
    if deployment.server == "gunicorn" and not Path("gunicorn.conf.py").exists():
        cure = f"Gunicorn expects gunicorn.conf.py in {Path.cwd()}, unless --config names another file."
    return error("application", f"It cannot be loaded: {trial.fault}", cure)


def _grace(deployment: Deployment) -> Finding:
    """Compare the supervisor's grace with the drain and graceful times."""
    graceful, grace = deployment.limits.graceful_seconds, deployment.grace
    if graceful is None:
        return note("grace", "harakiri in deploy/uwsgi.ini limits the stop of uWSGI; the grace must be longer.")
    drain = deployment.settings.drain_seconds
    need = drain + graceful
    text = f"A stop may take {need:g} s ({drain:g} of drain, {graceful:g} for requests in flight)"
    if grace is not None and grace > need:
        return ok("grace", f"{text}, and the supervisor allows {grace:g} s.")
    if grace is not None:
        cure = f"Allow more than {need:g} s, such as {need + 10:g}; or reduce SERVICE_GRACEFUL_SECONDS."
        return error("grace", f"{text}, but the supervisor kills it after {grace:g} s.", cure)
    text = f"{text}. By default Docker allows 10 s, Kubernetes 30 and systemd 90."
    return note("grace", text, "Add --grace SECONDS to compare it with your supervisor.")
