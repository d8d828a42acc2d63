"""`verify` through nginx: in front of one instance, of two, and of too much."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import Server, started, wait_until
from tests.programs import require
from tests.servers import serve
from tests.test_verify_servers import settle
from tests.verifying import verify

CONFIGURATION = """\
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream service {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://service;
            proxy_set_header Host $http_host;
        }}
        {more}
    }}
}}
"""
REFUSED = "location = /metrics { return 403; }"


@contextlib.contextmanager
def nginx(directory: Path, instances: list[Server], more: str) -> Iterator[str]:
    """Run nginx in front of the instances; yield its URL."""
    directory.mkdir()
    servers = " ".join(f"server 127.0.0.1:{instance.port};" for instance in instances)
    port = free_port()
    (directory / "nginx.conf").write_text(
        CONFIGURATION.format(directory=directory, servers=servers, more=more, port=port)
    )
    with started([require("nginx"), "-c", directory / "nginx.conf"], directory) as server:
        server.port = port
        wait_until(lambda: answers(server), f"nginx answers\n{server.text()}")
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def answers(server: Server) -> bool:
    with contextlib.suppress(OSError):
        return server.get("/").status == 200
    return False


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two instances behind one proxy."""
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("one", "two"):
            folder = tmp_path_factory.mktemp(name)
            found.append(stack.enter_context(serve("gunicorn", folder, {"SERVICE_TRUSTED_PROXIES": "1"})))
        for server in found:
            settle(server)
        yield found


def test_two_instances_behind_a_proxy_that_refuses_the_metrics(instances: list[Server], tmp_path: Path) -> None:
    managements = [f"--management=http://127.0.0.1:{server.management_port}" for server in instances]
    with nginx(tmp_path / "nginx", instances, REFUSED) as url:
        both, one, none = verify(url, *managements), verify(url, managements[0]), verify(url)

    assert (0, []) == (both.code, both.bad())
    assert ["They count exactly the 10 requests made here."] == both.texts("metrics", "ok")
    assert 1 == len(both.texts("server", "note")), "nginx says its version"
    assert (1, ["They count 5 of 10 requests."]) == (one.code, one.texts("metrics", "error"))
    assert (0, []) == (none.code, none.bad())
    assert 1 == len(none.texts("metrics", "note"))


def test_scrapes_through_a_proxy_of_two_instances_are_not_compared(instances: list[Server], tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", instances, "") as url:
        found = verify(url)

    assert [("metrics", "warning"), ("exposed", "warning")] == found.bad()
    assert "not of the same instance" in found.texts("metrics", "warning")[0]


def test_a_proxy_that_lets_everybody_manage_the_service_or_puts_its_own_page_fails(
    instances: list[Server], tmp_path: Path
) -> None:
    management = f"http://127.0.0.1:{instances[0].management_port}"
    more = f"""
        location = /drain {{ proxy_pass {management}; }}
        location = /info {{ proxy_pass {management}; }}
        proxy_intercept_errors on;
        error_page 404 /404.html;
    """
    with nginx(tmp_path / "nginx", instances, more) as url:
        found = verify(url, f"--management={management}")

    assert 1 == found.code
    assert ["Management paths answer here: /info, /drain."] == found.texts("exposed", "error")
    assert ["An error is text/html."] == found.texts("404", "error")
