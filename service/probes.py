"""``/healthz`` and ``/readyz``: what a load balancer or an orchestrator asks."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from service.health import Health, Status

LIVENESS = "/healthz"
READINESS = "/readyz"


def blueprint(health: Health) -> Blueprint:
    """Return the routes of both probes."""
    routes = Blueprint("probes", __name__)

    @routes.get(LIVENESS)
    def healthz() -> Response:
        # No dependency is asked: a restart of this process mends none of them.
        return jsonify(status="ok")

    @routes.get(READINESS)
    def readyz() -> tuple[Response, int]:
        status = health.status()
        return jsonify(status=status), 200 if status in {Status.OK, Status.DEGRADED} else 503

    @routes.after_request
    def forbid_caching(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        return response

    return routes
