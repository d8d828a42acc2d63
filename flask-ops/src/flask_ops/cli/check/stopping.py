"""Whether the supervisor gives a stop the time that it takes."""

from __future__ import annotations

from collections.abc import Iterator

from flask_ops.cli.check.deployment import Deployment
from flask_ops.cli.findings import Finding, error, note, ok, warning

_KUBERNETES = 30
"""``terminationGracePeriodSeconds`` where a pod does not set it. It cannot be seen from inside of one."""


def look(deployment: Deployment) -> Iterator[Finding]:
    """Yield the comparison of the supervisor's grace with drain and graceful time."""
    graceful, grace = deployment.graceful_seconds, deployment.grace
    if graceful is None:
        yield note(
            "grace", "How long uWSGI takes to stop is said by harakiri in deploy/uwsgi.ini; the grace must be longer."
        )
        return
    drain = deployment.settings.drain_seconds
    need = drain + graceful
    text = f"A stop may take {need:g} s ({drain:g} of drain, {graceful:g} for requests in flight)"
    cure = f"More than {need:g} s, with some to spare: {need + 10:g}; or less SERVICE_GRACEFUL_SECONDS."
    if grace is not None:
        if grace <= need:
            yield error("grace", f"{text}, but is cut off after {grace:g} s.", cure)
        else:
            yield ok("grace", f"{text}, and is given {grace:g} s.")
    elif deployment.environ.get("KUBERNETES_SERVICE_HOST") and need >= _KUBERNETES:
        yield warning(
            "grace",
            f"{text}; Kubernetes gives {_KUBERNETES} s where terminationGracePeriodSeconds is not set.",
            f"terminationGracePeriodSeconds: {need + 10:g}, and --grace {need + 10:g} here.",
        )
    else:
        yield note(
            "grace",
            f"{text}. Docker gives 10 s, Kubernetes {_KUBERNETES}, systemd 90, unless they are told otherwise.",
            "--grace SECONDS compares with what yours gives.",
        )
