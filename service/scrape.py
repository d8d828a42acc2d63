"""``/metrics``: everything that is measured, in Prometheus's formats."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Blueprint, Response, request
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service import store
from service.store_reader import StoreCollector

PATH = "/metrics"


def blueprint(registry: CollectorRegistry) -> Blueprint:
    """Return the route that serves ``registry`` and what the process itself has registered.

    With several worker processes it is the sum over all of them, whichever one answers.
    """
    routes = Blueprint("scrape", __name__)

    @routes.get(PATH)
    def metrics() -> Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = Response(encode(_sources(registry)), content_type=content_type)
        response.headers["Cache-Control"] = "no-store"
        return response

    return routes


def _sources(registry: CollectorRegistry) -> CollectorRegistry:
    sources = CollectorRegistry()
    if store.is_shared():
        sources.register(StoreCollector(store.directory()))
    else:
        for source in (REGISTRY, registry):
            sources.register(_Source(source))
    return sources


class _Source(Collector):
    """A registry within another one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()
