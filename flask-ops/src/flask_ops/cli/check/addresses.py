"""Checks of the addresses: the clients that can reach them, idle connections, and trusted proxies.

They bind nothing: the start does, and names an address that is in use.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask_ops.cli.check.deployment import Deployment
from flask_ops.cli.findings import Finding, note, ok, warning
from flask_ops.core.address import Address

_IDLE_SECONDS = {"AWS": 60, "Google Cloud": 600}
"""How long load balancers keep a connection to an instance by default (manuals of Elastic Load Balancing and of
Cloud Load Balancing)."""


def look(deployment: Deployment) -> Iterator[Finding]:
    """Yield findings about the addresses of the application and of the management listener."""
    binds = deployment.limits.binds
    world = [bind for bind in binds if not bind.is_loopback]
    if deployment.is_in_kubernetes and binds and not world:
        text = f"Only this pod reaches {', '.join(map(str, binds))}; a Kubernetes Service connects from outside."
        yield warning("bind", text, "SERVICE_BIND=0.0.0.0:8000, unless a proxy in the same pod connects.")
    yield _proxies(deployment, ", ".join(map(str, world)))
    yield _keep_alive(deployment.limits.keep_alive_seconds)
    yield _management(deployment)
    yield from _token(deployment)


def _proxies(deployment: Deployment, world: str) -> Finding:
    """Judge the number of trusted proxies; ``world`` are the addresses that other machines can reach."""
    hops = deployment.settings.trusted_proxies
    if hops and world:
        text = f"A client that reaches {world} directly can forge its address: SERVICE_TRUSTED_PROXIES is {hops}."
        return note("proxies", text, "Let only the proxies connect: a firewall, a NetworkPolicy, or loopback.")
    if not hops and (world or any(bind.unix for bind in deployment.limits.binds)):
        return warning(
            "proxies",
            "SERVICE_TRUSTED_PROXIES is 0. Behind a proxy, the log would show its address for each client, and https "
            "would count as http. Without a proxy, a slow client holds a thread or a connection.",
            "Put a proxy in front that buffers requests, and set the number of proxies, usually 1; or use loopback.",
        )
    return ok("proxies", f"{hops or 'None'} trusted; only this machine can connect.")


def _keep_alive(seconds: int | None) -> Finding:
    """Compare the time of idle connections with the defaults of load balancers."""
    if not seconds:
        return ok("keep-alive", "The server closes each connection after its response.")
    longer = [f"{name} ({idle} s)" for name, idle in _IDLE_SECONDS.items() if idle >= seconds]
    text = f"The server closes a connection that is idle for {seconds} s."
    if not longer:
        return ok("keep-alive", text)
    text += f" The load balancers of {' and '.join(longer)} do not close it earlier: a request at that moment fails."
    cure = "SERVICE_KEEP_ALIVE_SECONDS must be longer than the idle timeout of your load balancer: 620 fits all."
    return (warning if len(longer) == len(_IDLE_SECONDS) else note)("keep-alive", text, cure)


def _management(deployment: Deployment) -> Finding:
    bind = deployment.settings.management_bind
    if bind is None:
        text = "There is no management address: probes time out when every thread is busy"
        cure = "SERVICE_MANAGEMENT_BIND=127.0.0.1:8001"
        if deployment.settings.metrics_on_app:
            return note("management", f"{text}.", cure)
        text = f"{text}, and scrapes are impossible: SERVICE_METRICS_ON_APP is false."
        return warning("management", text, f"{cure}, or SERVICE_METRICS_ON_APP=true")
    if not bind.is_loopback:
        return _open_management(deployment, bind)
    if deployment.is_in_kubernetes:
        text = f"Only this pod reaches {bind}, but Kubernetes and Prometheus connect from outside."
        return warning("management", text, "SERVICE_MANAGEMENT_BIND=0.0.0.0:8001, with a NetworkPolicy.")
    return ok("management", f"Only this machine reaches {bind}.")


def _token(deployment: Deployment) -> Iterator[Finding]:
    settings = deployment.settings
    if settings.management_token_reads and settings.metrics_on_app:
        text = "Scrapes of the management address need the token, but the application's port serves /metrics to all."
        yield warning("token", text, "SERVICE_METRICS_ON_APP=false")


def _open_management(deployment: Deployment, bind: Address) -> Finding:
    """Judge a management address that other machines reach, by the token that it needs."""
    settings = deployment.settings
    cure = "Bind to loopback; or use a firewall if other machines probe and scrape."
    if deployment.is_in_kubernetes:
        cure = "Add a NetworkPolicy that admits only the kubelet and the monitoring."
    if settings.management_token is None:
        text = f"Every client that reaches {bind} can read the metrics and drain the service."
        return warning("management", text, f"{cure} Set SERVICE_MANAGEMENT_TOKEN_FILE: changes then need its token.")
    if not settings.management_token_reads:
        text = f"Every client that reaches {bind} can read the metrics. Changes need the token."
        return note("management", text, f"{cure} Or set SERVICE_MANAGEMENT_TOKEN_READS=true.")
    return ok("management", f"{bind} needs the token, except for probes.")
