"""Checks of the addresses that clients can reach, and of the trusted proxies."""

from __future__ import annotations

from collections.abc import Iterator

from flask_ops.cli.check.deployment import Deployment
from flask_ops.cli.findings import Finding, note, ok, warning
from flask_ops.core.address import Address

_PLATFORMS = {
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
    "K_SERVICE": "Cloud Run or Knative",
    "DYNO": "Heroku",
    "PORT": "a platform that sets PORT",
}
"""Variables that identify a platform."""


def look(deployment: Deployment) -> Iterator[Finding]:
    """Yield findings about the addresses of the application and of the management listener."""
    world = [bind for bind in deployment.binds if not bind.is_loopback]
    yield from _reach(deployment, world)
    yield from _proxies(deployment, world)
    yield from _forwarded_allow_ips(deployment)
    yield from _management(deployment)


def _reach(deployment: Deployment, world: list[Address]) -> Iterator[Finding]:
    if deployment.environ.get("KUBERNETES_SERVICE_HOST") and deployment.binds and not world:
        shown = ", ".join(map(str, deployment.binds))
        yield warning(
            "bind",
            f"Only this pod reaches {shown}; a Kubernetes Service connects from outside.",
            "SERVICE_BIND=0.0.0.0:8000, unless a proxy in the same pod connects.",
        )


def _proxies(deployment: Deployment, world: list[Address]) -> Iterator[Finding]:
    hops = deployment.settings.trusted_proxies
    shown = ", ".join(map(str, world))
    platform = next((name for variable, name in _PLATFORMS.items() if deployment.environ.get(variable)), None)
    behind = platform or ("a Unix socket" if _is_unix(deployment) else None)
    if hops:
        if world:
            yield note(
                "proxies",
                f"A client that reaches {shown} directly can forge its address: SERVICE_TRUSTED_PROXIES is {hops}.",
                "Let only the proxies connect: a firewall, a NetworkPolicy, or loopback.",
            )
        else:
            yield ok("proxies", f"{hops} trusted; only this machine can connect.")
    elif behind:
        yield warning(
            "proxies",
            f"With {behind}, a proxy is usual, but SERVICE_TRUSTED_PROXIES is 0. The log would show the proxy's "
            "address for each client, and https would count as http.",
            "Set it to the number of proxies that set X-Forwarded-*, usually 1. Leave it at 0 for direct clients.",
        )
    elif world:
        yield warning(
            "proxies",
            f"Clients of {shown} connect to {deployment.server} directly: SERVICE_TRUSTED_PROXIES is 0. "
            "A slow client holds one of its threads or connections.",
            "Put a proxy in front that buffers requests, and set SERVICE_TRUSTED_PROXIES; or bind to loopback.",
        )
    else:
        yield ok("proxies", "None trusted; only this machine can connect.")


def _is_unix(deployment: Deployment) -> bool:
    return bool(deployment.binds) and all(bind.unix for bind in deployment.binds)


def _forwarded_allow_ips(deployment: Deployment) -> Iterator[Finding]:
    values = deployment.gunicorn
    if values is not None and values.forwarded_allow_ips:
        yield warning(
            "proxies",
            f"Gunicorn's forwarded_allow_ips is {','.join(values.forwarded_allow_ips)}: it also trusts headers "
            "from there, whatever SERVICE_TRUSTED_PROXIES is.",
            'Set forwarded_allow_ips = "" in gunicorn.conf.py, and remove --forwarded-allow-ips.',
        )


def _management(deployment: Deployment) -> Iterator[Finding]:
    settings = deployment.settings
    bind, in_kubernetes = settings.management_bind, bool(deployment.environ.get("KUBERNETES_SERVICE_HOST"))
    if bind is None:
        text = "There is no management address: probes time out when every thread is busy"
        if settings.metrics_on_app:
            yield note("management", f"{text}.", "SERVICE_MANAGEMENT_BIND=127.0.0.1:8001")
        else:
            yield warning(
                "management",
                f"{text}, and scrapes are impossible: SERVICE_METRICS_ON_APP is false.",
                "SERVICE_MANAGEMENT_BIND=127.0.0.1:8001, or SERVICE_METRICS_ON_APP=true",
            )
    elif not bind.is_loopback:
        yield warning(
            "management",
            f"Every client that reaches {bind} can read the metrics and drain the service.",
            "Add a NetworkPolicy that admits only the kubelet and the monitoring."
            if in_kubernetes
            else "Bind to loopback; or use a firewall if other machines probe and scrape.",
        )
    elif in_kubernetes:
        yield warning(
            "management",
            f"Only this pod reaches {bind}, but Kubernetes and Prometheus connect from outside.",
            "SERVICE_MANAGEMENT_BIND=0.0.0.0:8001, with a NetworkPolicy.",
        )
    else:
        yield ok("management", f"Only this machine reaches {bind}.")
