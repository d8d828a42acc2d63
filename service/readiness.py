"""The readiness of all workers of a server, as they have published it in the store."""

from __future__ import annotations

from pathlib import Path

from service.health import Status
from service.management import Readiness
from service.store_reader import read


def of_workers(store: Path) -> Readiness:
    """Return what the workers say: ready if all are that have started, and one has."""
    ready: list[float] = []
    checks: dict[str, Status] = {}
    for path in store.glob("gauge_livemin_*.db"):
        for (name, _, labels, _), value, _ in read(path) or ():
            if name == "service_ready":
                ready.append(value)
            elif name == "service_health_check_up":
                check = dict(labels)["check"]
                if value < 1 or check not in checks:
                    checks[check] = Status.OK if value >= 1 else Status.DOWN
    if not ready:
        return Readiness(Status.STARTING, checks)
    if min(ready) < 1:
        return Readiness(Status.DOWN, checks)
    return Readiness(Status.DEGRADED if Status.DOWN in checks.values() else Status.OK, checks)
