"""A request that takes longer than the timeout of the proxies in `deploy/`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flask_ops.core.settings import Settings
from tests.process import DEADLINE, Answer
from tests.repository.deploy.proxies import PROXIES, site
from tests.repository.deploy.test_proxies import problem

SHORTER = {
    # nginx repeats nothing after 10 seconds, so it does not repeat a request that timed out after 30 seconds.
    "nginx": {"proxy_read_timeout 30s": "proxy_read_timeout 3s", "upstream_timeout 10s": "upstream_timeout 1s"},
    "apache": {" timeout=30 ": " timeout=3 "},
    "haproxy": {"timeout server 30s": "timeout server 3s"},
}
"""All timeouts that matter here, divided by ten. A test with the service's own 30 seconds would wait for as long."""


def test_a_request_that_takes_too_long_is_given_up_and_not_repeated(tmp_path: Path) -> None:
    assert 30 == Settings.from_environ({}).request_timeout

    def give_up(name: str) -> tuple[Answer, int]:
        directory = tmp_path / name
        directory.mkdir()
        with site(name, directory, changes=SHORTER[name]) as running:
            answer = running.edge.get(f"/slow?s={DEADLINE}")
            for instance in running.instances:
                instance.kill()
            return answer, len(running.lines("slow view"))

    with ThreadPoolExecutor(len(PROXIES)) as pool:
        results = dict(zip(PROXIES, pool.map(give_up, PROXIES), strict=True))

    assert dict.fromkeys(PROXIES, "Gateway Timeout") == {
        name: problem(answer)["title"] for name, (answer, _) in results.items()
    }
    assert dict.fromkeys(PROXIES, 1) == {name: views for name, (_, views) in results.items()}
