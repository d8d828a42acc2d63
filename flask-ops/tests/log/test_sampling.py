"""The choice of requests that have a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process import wait_until
from tests.servers import serve

pytestmark = pytest.mark.system

ENV = {
    "WEB_CONCURRENCY": "1",
    "SERVICE_LOG_SAMPLES": "/=0 /whoami=0.5 *=1",
    "SERVICE_LOG_SLOW_SECONDS": "0.2",
    "SERVICE_LOG_QUERY": "true",
}


def test_successes_are_sampled_by_route_and_all_else_is_kept(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, ENV) as server:
        for _ in range(100):
            server.get("/")
            server.get("/whoami?api_key=hunter2&page=2")
        for _ in range(5):
            server.get("/boom")
            server.get("/nope")
            server.get("/log")
        server.get("/slow?s=0.3")
        server.line("request", route="/slow")
        for route in ("/boom", "unmatched", "/log"):
            wait_until(lambda: len(server.lines("request", route=route)) == 5, f"all of {route}")  # noqa: B023 - called at once

        assert [] == server.lines("request", route="/")
        half = server.lines("request", route="/whoami")
        # For 100 tosses of a coin, a result outside these bounds has a probability of 10^-15.
        assert 10 < len(half) < 90
        assert {(0.5, "api_key=[masked]&page=2")} == {(line["share"], line["query"]) for line in half}
        assert "share" not in server.lines("request", route="/log")[0]
