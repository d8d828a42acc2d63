"""The check that the supervisor allows enough time for a stop."""

from __future__ import annotations

from collections.abc import Iterator

from flask_ops.cli.check.deployment import Deployment
from flask_ops.cli.findings import Finding, error, note, ok, warning

_KUBERNETES = 30
"""The default of ``terminationGracePeriodSeconds``. A pod cannot see its own value."""


def look(deployment: Deployment) -> Iterator[Finding]:
    """Compare the supervisor's grace with the drain and graceful times."""
    graceful, grace = deployment.graceful_seconds, deployment.grace
    if graceful is None:
        yield note("grace", "harakiri in deploy/uwsgi.ini limits the stop of uWSGI; the grace must be longer.")
        return
    drain = deployment.settings.drain_seconds
    need = drain + graceful
    text = f"A stop may take {need:g} s ({drain:g} of drain, {graceful:g} for requests in flight)"
    cure = f"Allow more than {need:g} s, such as {need + 10:g}; or reduce SERVICE_GRACEFUL_SECONDS."
    if grace is not None:
        if grace <= need:
            yield error("grace", f"{text}, but the supervisor kills it after {grace:g} s.", cure)
        else:
            yield ok("grace", f"{text}, and the supervisor allows {grace:g} s.")
    elif deployment.environ.get("KUBERNETES_SERVICE_HOST") and need >= _KUBERNETES:
        yield warning(
            "grace",
            f"{text}; Kubernetes allows {_KUBERNETES} s if terminationGracePeriodSeconds is not set.",
            f"Set terminationGracePeriodSeconds: {need + 10:g}, and --grace {need + 10:g} here.",
        )
    else:
        yield note(
            "grace",
            f"{text}. By default Docker allows 10 s, Kubernetes {_KUBERNETES} and systemd 90.",
            "Add --grace SECONDS to compare it with your supervisor.",
        )
