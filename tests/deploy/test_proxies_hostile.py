"""What a client writes in other ways gets past no proxy of `deploy/`, whichever server is behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.management import page
from tests.deploy.proxies import PROXIES, Site, site
from tests.deploy.test_proxies import problem

SERVERS = ["gunicorn", "uwsgi"]
"""uWSGI removes dot segments, and takes ``%`` for a character."""


@pytest.fixture(scope="module", params=[(name, server) for name in PROXIES for server in SERVERS], ids="-".join)
def running_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name, server = request.param
    with site(name, tmp_path_factory.mktemp(name), server=server) as running:
        yield running


@pytest.fixture(scope="module")
def refused(running_site: Site) -> list[str]:
    """Return the first part of each path that the management listener has and the world must not reach."""
    told = running_site.instances[0].server.manage("/nope").json()["detail"]
    paths = told.removeprefix("There is only ").removesuffix(".").split(", ")
    names = {path.split("/")[1] for path in [*paths, *page.routes()]}
    assert {"", "readyz", "metrics", "status"} <= names
    return sorted(names - {"", "readyz"})  # the application's own have these names


def test_the_paths_of_the_management_are_refused_however_they_are_written(
    running_site: Site, refused: list[str]
) -> None:
    for name in refused:
        encoded = f"%{ord(name[0]):x}{name[1:]}"
        plain = (f"/{name}", f"//{name}", f"/{name}/", f"/{name}/x", f"/{name}?x=1", f"/{encoded}", f"/%2F{name}")
        dots = (f"/./{name}", f"/.//{name}", f"/../{name}", f"/x/../{name}", f"/%2e/{name}", f"/%2E%2e/{name}")
        broken = (f"/{name}%", f"/{encoded}%", f"/{name}%z", f"/{name}%00", f"/%00/../{name}", f"/{name}%2F")
        for form in (*plain, *dots, *broken):
            assert problem(running_site.edge.get(form))["title"] in {"Not Found", "Bad Request"}, form


def test_a_path_that_only_looks_so_arrives(running_site: Site, refused: list[str]) -> None:
    names = ("a.b", "..c", "d...", ".well-known", "%2e%2e%2e", "a%20b", "100%25", *(f"{name}s" for name in refused))

    for form in [f"/{name}" for name in names]:
        assert "detail" in running_site.edge.get(form).json(), f"{form} is not refused by the service"
