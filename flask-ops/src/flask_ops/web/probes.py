"""The routes ``/healthz``, ``/readyz`` and ``/metrics``, for load balancers, orchestrators and Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response, abort, jsonify, request

from flask_ops.metrics import scrape
from flask_ops.web.health_answer import Find, UnknownCheckError, answer

LIVENESS = "/healthz"
READINESS = "/readyz"
METRICS = scrape.PATH


def blueprint(find: Find) -> Blueprint:
    """Return the routes of both probes; ``find`` returns the readiness."""
    routes = Blueprint("probes", __name__)

    @routes.get(LIVENESS)
    def healthz() -> Response:
        # Liveness checks no dependency, because a restart of this process repairs none.
        return jsonify(status="ok")

    @routes.get(READINESS)
    def readyz() -> Response:
        query = request.query_string.decode("latin-1")
        try:
            found = answer(find, query)
        except UnknownCheckError as error:
            abort(400, str(error))
        return Response(found.body, found.status, [*found.headers])

    @routes.after_request
    def forbid_caching(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        return response

    return routes


def scrape_blueprint(collect: scrape.Collect) -> Blueprint:
    """Return the route of the scrape."""
    routes = Blueprint("scrape", __name__)

    @routes.get(scrape.PATH)
    def metrics() -> Response:
        accept, encoding = request.headers.get("Accept", ""), request.headers.get("Accept-Encoding", "")
        form = scrape.Form.accepted(accept, encoding, request.args.getlist("name[]"))
        body, headers = scrape.Scrape(collect).render(form)
        return Response(body, headers=headers)

    return routes
