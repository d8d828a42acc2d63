"""`verify` through the proxies of `deploy/`, and through a misconfigured proxy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.process import Server, started, wait_until
from tests.programs import require
from tests.repository.deploy.proxies import NAME, PROXIES, Site, site
from tests.servers import serve
from tests.verify.test_servers import settle
from tests.verify.verifying import reach, verify

pytestmark = pytest.mark.system


@pytest.fixture(scope="module", params=list(PROXIES))
def running_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(request.param, tmp_path_factory.mktemp(request.param)) as running:
        for instance in running.instances:
            settle(instance.server)
        wait_until(lambda: len(running.lines("request", route="/healthz")) > len(running.instances), "the proxy's, too")
        yield running


@pytest.fixture
def url(running_site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
    reach(monkeypatch, running_site.edge.certificate)
    return f"https://{NAME}:{running_site.edge.port}"


def managements(running_site: Site) -> list[str]:
    return [f"--management=http://127.0.0.1:{instance.server.management_port}" for instance in running_site.instances]


def test_the_proxies_of_deploy_pass_as_what_the_world_sees(running_site: Site, url: str) -> None:
    found = verify(url, *managements(running_site), "--public")

    assert (0, []) == (found.code, found.bad())
    assert ["They count exactly the 10 requests made here."] == found.texts("metrics", "ok")
    assert 2 == len(found.texts("exposed", "ok"))
    assert 2 == len(found.texts("management", "ok"))
    assert 1 == len(found.texts("request id", "note")), "they set their own"
    assert 1 == len(found.texts("server", "ok"))


def test_without_all_instances_it_does_not_guess(running_site: Site, url: str) -> None:
    one, none = verify(url, managements(running_site)[0]), verify(url, "--public")

    assert 1 == one.code
    assert "of 10 requests" in one.texts("metrics", "error")[0]
    assert (0, []) == (none.code, none.bad())
    assert 1 == len(none.texts("metrics", "note"))


def answers(server: Server) -> bool:
    with contextlib.suppress(OSError):
        return server.get("/").status == 200
    return False


HAPROXY = """\
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend edge
    bind 127.0.0.1:{port}
    http-request deny deny_status 404 if {{ path /metrics }}
    default_backend service
backend service
    server one 127.0.0.1:{upstream}
"""


def test_a_proxy_that_refuses_the_metrics_in_one_spelling_only_fails(tmp_path: Path) -> None:
    """uWSGI resolves dot segments and leaves invalid escapes unchanged."""
    port = free_port()
    configuration = tmp_path / "haproxy.cfg"
    with serve("uwsgi", tmp_path) as upstream:
        configuration.write_text(HAPROXY.format(port=port, upstream=upstream.port))
        with started([require("haproxy"), "-db", "-f", configuration], tmp_path) as server:
            server.port = port
            wait_until(lambda: answers(server), "HAProxy answers")
            found = verify(f"http://127.0.0.1:{port}", "--public")

    assert 1 == found.code
    (text,) = found.texts("exposed", "error")
    assert "/metrics is refused, but not /./metrics, /../metrics, " in text
