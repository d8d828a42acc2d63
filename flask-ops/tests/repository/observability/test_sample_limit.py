"""Prometheus with the configuration of `observability/` and a service with very many routes."""

from __future__ import annotations

import http.client
import json
import re
import signal
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from observability.configuration import aimed
from observability.programs import free_port, prometheus
from tests.applications.many_routes import ROUTES
from tests.attach.servers import LOOPBACK, attached
from tests.exposition import value
from tests.observability.files import alerts
from tests.process import DEADLINE, Server, started, wait_until
from tests.programs import require
from tests.repository.observability.files import OBSERVABILITY


@pytest.mark.timeout(300)
def test_a_service_with_a_thousand_routes_in_use_is_scraped_without_an_alert(tmp_path: Path) -> None:
    """A scrape above the limit fails, but Prometheus still knows the number of its samples: the alert goes on."""
    require("prometheus")
    for name in ("service", "prometheus"):
        (tmp_path / name).mkdir()
    with attached("tests.applications.many_routes:app", tmp_path / "service", [LOOPBACK, "-w", "1"]) as server:
        config = aimed(OBSERVABILITY / "prometheus.yml", f"127.0.0.1:{server.management_port}", "127.0.0.1:1")
        config["global"] |= {"scrape_interval": "5s", "scrape_timeout": "5s"}
        wait_until(lambda: value(metrics(server), "flask_http_request_total") == 0, "no request")
        assert len(metrics(server).splitlines()) < 10 * ROUTES + 400
        use_every_route(server)
        port, path = free_port(), tmp_path / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        with started(prometheus(tmp_path, port), tmp_path / "prometheus") as running:
            wait_until(lambda: query(port, "up") == 1, "a scrape", 60)
            samples = query(port, "scrape_samples_post_metric_relabeling")
            (limit,) = re.findall(r"> (\d+)", alerts()["ServiceSeriesNearLimit"]["expr"])
            assert 20 * ROUTES < samples < int(limit)

            config["scrape_configs"][0]["sample_limit"] = 5000
            path.write_text(yaml.safe_dump(config))
            running.process.send_signal(signal.SIGHUP)
            failed = "scrape_samples_post_metric_relabeling > 5000 and on (instance) up == 0"
            wait_until(lambda: query(port, failed) >= samples, "a scrape that fails", 60)


def metrics(server: Server) -> str:
    return server.manage("/metrics").body.decode()


def use_every_route(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    for number in range(ROUTES):
        connection.request("GET", f"/resources{number}/7")
        assert b"7" == connection.getresponse().read()
    connection.close()


def query(port: int, expression: str) -> float:
    """Return the value of the only series of a query, or -1 if there is none."""
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except OSError:  # it is starting
        return -1
    return float(found[0]["value"][1]) if found else -1
