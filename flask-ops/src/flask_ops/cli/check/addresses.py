"""Who could reach the service, and which proxies it would believe."""

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
"""Variables that the platform sets, each with what it tells."""


def look(deployment: Deployment) -> Iterator[Finding]:
    """Yield what is found about the addresses of the application and of the management listener."""
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
            f"Only this pod reaches {shown}; a Service of Kubernetes comes from outside of it.",
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
                f"Whoever reaches {shown} directly can forge addresses: {hops} in X-Forwarded-For is believed.",
                "Let only the proxies connect: a firewall, a NetworkPolicy, or loopback.",
            )
        else:
            yield ok("proxies", f"{hops} trusted; only this machine can connect.")
    elif behind:
        yield warning(
            "proxies",
            f"Here is {behind}, where a proxy is usual, but SERVICE_TRUSTED_PROXIES is 0: the log would have the "
            "proxy's address for each client's, and https is taken for http.",
            "Set it to how many proxies set X-Forwarded-*, mostly 1. Leave it where clients connect directly.",
        )
    elif world:
        yield warning(
            "proxies",
            f"Everybody who reaches {shown} talks to {deployment.server} itself: SERVICE_TRUSTED_PROXIES is 0. "
            "A client that sends slowly holds one of its threads or connections.",
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
            f"Gunicorn's forwarded_allow_ips is {','.join(values.forwarded_allow_ips)}: from there it believes "
            "headers itself, beside SERVICE_TRUSTED_PROXIES.",
            'forwarded_allow_ips = "" in gunicorn.conf.py, and no --forwarded-allow-ips.',
        )


def _management(deployment: Deployment) -> Iterator[Finding]:
    settings = deployment.settings
    bind, in_kubernetes = settings.management_bind, bool(deployment.environ.get("KUBERNETES_SERVICE_HOST"))
    if bind is None:
        text = "There is no management address: probes go blind when every thread is busy"
        if settings.metrics_on_app:
            yield note("management", f"{text}.", "SERVICE_MANAGEMENT_BIND=127.0.0.1:8001")
        else:
            yield warning(
                "management",
                f"{text}, and nobody can scrape: SERVICE_METRICS_ON_APP is false, too.",
                "SERVICE_MANAGEMENT_BIND=127.0.0.1:8001, or SERVICE_METRICS_ON_APP=true",
            )
    elif not bind.is_loopback:
        yield warning(
            "management",
            f"Everybody who reaches {bind} can read the metrics, and drain the service.",
            "A NetworkPolicy that admits the kubelet and the monitoring only."
            if in_kubernetes
            else "Loopback; or a firewall, where others must probe and scrape.",
        )
    elif in_kubernetes:
        yield warning(
            "management",
            f"Only this pod reaches {bind}, but Kubernetes and Prometheus ask from outside of it.",
            "SERVICE_MANAGEMENT_BIND=0.0.0.0:8001, with a NetworkPolicy.",
        )
    else:
        yield ok("management", f"Only this machine reaches {bind}.")
