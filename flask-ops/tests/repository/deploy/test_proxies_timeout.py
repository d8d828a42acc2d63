"""A request that takes longer than the timeout of the proxies in `deploy/`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.process import Answer
from tests.repository.deploy.proxies import PROXIES, ask, site
from tests.repository.deploy.test_proxies import problem

PATIENCE = 60.0


def test_a_request_that_takes_too_long_is_given_up_and_not_repeated(tmp_path: Path) -> None:
    """All proxies run at the same time, because each waits 30 seconds, the service's default."""

    def give_up(name: str) -> tuple[Answer, int]:
        directory = tmp_path / name
        directory.mkdir()
        with site(name, directory) as running, closing(running.edge.connect()) as connection:
            connection.timeout = PATIENCE
            answer = ask(connection, "GET", f"/slow?s={PATIENCE}")
            for instance in running.instances:
                instance.kill()
            return answer, len(running.lines("slow view"))

    with ThreadPoolExecutor(len(PROXIES)) as pool:
        results = dict(zip(PROXIES, pool.map(give_up, PROXIES), strict=True))

    assert dict.fromkeys(PROXIES, "Gateway Timeout") == {
        name: problem(answer)["title"] for name, (answer, _) in results.items()
    }
    assert dict.fromkeys(PROXIES, 1) == {name: views for name, (_, views) in results.items()}
