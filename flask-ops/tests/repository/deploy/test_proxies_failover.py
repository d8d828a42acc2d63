"""The cost of instances that die or restart behind each proxy of `deploy/`."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.process import DEADLINE, wait_until
from tests.repository.deploy.load import load
from tests.repository.deploy.proxies import PROXIES, Instance, Site, ask, site
from tests.repository.deploy.test_proxies import problem

ROUNDS = int(os.environ.get("ROUNDS", "1"))


@pytest.fixture(params=list(PROXIES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def running_site(name: str, tmp_path: Path) -> Iterator[Site]:
    with site(name, tmp_path) as running:
        yield running


def busy(running_site: Site) -> Instance:
    """Return the instance that has begun to serve the first request for ``/slow``."""
    return wait_until(
        lambda: [instance for instance in running_site.instances if instance.server.lines("slow view")], "a request"
    )[0]


def test_a_get_goes_to_the_other_instance_if_its_own_is_killed(running_site: Site, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(running_site.edge.get, f"/slow?s=20&until={tmp_path / 'release'}&x=%2F%20y")
        busy(running_site).kill()
        (tmp_path / "release").touch()
        answer = asked.result(DEADLINE)

    assert (200, b"slow") == (answer.status, answer.body)
    wait_until(lambda: len(running_site.lines("slow view")) == 2, "a line of each")


def test_a_post_is_not_repeated_if_its_instance_is_killed(running_site: Site) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(running_site.edge.request, "POST", "/slow?s=20", body=b"x")
        busy(running_site).kill()
        answer = asked.result(DEADLINE)

    assert "Bad Gateway" == problem(answer)["title"]
    assert 1 == len(running_site.lines("slow view"))
    # A new request goes to the living instance.
    assert 200 == running_site.edge.request("POST", "/upload", body=b"x").status


def test_after_two_dead_instances_answers_have_the_right_type_until_one_is_back(running_site: Site) -> None:
    """They are problems, but Apache's first one is its own page."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(running_site.edge.get, "/slow?s=20")
        first = busy(running_site)
        first.kill()
        (second,) = (instance for instance in running_site.instances if instance is not first)
        wait_until(lambda: second.server.lines("slow view"), "it is asked of the other one")
        second.kill()
        answer = asked.result(DEADLINE)

    assert answer.status in {502, 503}
    assert answer.headers["X-Request-ID"]
    is_page = answer.headers["Content-Type"].startswith("text/html")
    assert is_page == answer.body.startswith(b"<!DOCTYPE HTML")
    assert is_page or problem(answer)

    for method in ("GET", "POST"):
        answer = running_site.edge.request(method, "/upload", body=b"x" if method == "POST" else None)
        assert problem(answer)["status"] in {502, 503}
    second.start()
    wait_until(lambda: running_site.edge.get("/").status == 200, "the instance that is back is asked")


def test_one_of_two_instances_killed_under_load_costs_no_idempotent_request(name: str, running_site: Site) -> None:
    with load(running_site.edge, ("GET",), repeat=name == "apache") as clients:
        clients.wait_for(100)
        running_site.instances[0].kill()
        clients.wait_for(200)

    assert {} == clients.lost()


WITHOUT_RETRIES = {
    "retries 2": "retries 0",
    "option redispatch 1": "",
    "retry-on conn-failure empty-response": "",
}
"""Changes after which HAProxy hides no lost request."""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("proxy", "server", "changes"),
    [
        ("nginx", "gunicorn", {}),
        ("apache", "gunicorn", {}),
        ("haproxy", "gunicorn", WITHOUT_RETRIES),
        ("haproxy", "waitress", WITHOUT_RETRIES),
    ],
)
def test_restarting_one_after_the_other_under_load_costs_no_request_at_all(
    proxy: str, server: str, changes: dict[str, str], tmp_path: Path
) -> None:
    with site(proxy, tmp_path, {"SERVICE_DRAIN_SECONDS": "2"}, server=server, changes=changes) as running:
        with load(running.edge, ("GET", "POST"), new_connections=True) as clients:
            clients.wait_for(100)
            for instance in running.instances * ROUNDS:
                assert 0 == instance.server.stop()
                assert 0 == instance.server.line("stopped")["requests_unfinished"]
                instance.start()
                wait_until(partial(instance.server.lines, "slow view"), "the proxy asks it again")

        posts = clients.seen["POST", 200]
        wait_until(
            lambda: posts == len(running.lines("request", route="/slow", method="POST")), f"{posts} lines, one per POST"
        )
        for instance in running.instances:
            instance.kill()  # without a drain

    print(f"{proxy}, {server}: {ROUNDS} rounds, {clients.seen.total()} requests, lost: {clients.lost()}")  # noqa: T201 - quoted
    assert {} == clients.lost()


def test_apache_does_not_repeat_a_request_on_a_reused_connection(tmp_path: Path) -> None:
    """Apache closes such a connection without an answer.

    For the first request of a connection, it tries the other instance.
    """
    with site("apache", tmp_path) as running, closing(running.edge.connect()) as connection:
        ask(connection, "GET", "/")
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, connection, "GET", "/slow?s=20")
            busy(running).kill()
            with pytest.raises(http.client.RemoteDisconnected):
                asked.result(DEADLINE)
