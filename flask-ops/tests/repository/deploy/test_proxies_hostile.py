"""Forged headers and unusual spellings, which no proxy of `deploy/` lets through, for any server behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from flask_ops.management import page
from tests.process import wait_until
from tests.repository.deploy.proxies import NAME, PROXIES, Site, site
from tests.repository.deploy.test_proxies import problem

SERVERS = ["gunicorn", "uwsgi"]
"""uWSGI removes dot segments, accepts a lone ``%``, and reads ``_`` in a header's name as ``-``."""
FORGED = {
    "X-Forwarded-For": "192.0.2.66",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "evil",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Protocol": "gopher",
    "X-Forwarded-Scheme": "gopher",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Ssl": "evil",
    "X-Real-IP": "192.0.2.66",
    "Forwarded": "for=192.0.2.66;host=evil.example;proto=gopher",
    "X-Request-ID": "forged",
    "X-Request-Start": "t=1000000000",
    "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    "tracestate": "evil=1",
    "baggage": "evil=1",
    # The next hop must drop the headers named here.
    "Connection": "close, X-Forwarded-For, X-Forwarded-Proto, X-Request-ID",
}


@pytest.fixture(scope="module", params=[(name, server) for name in PROXIES for server in SERVERS], ids="-".join)
def running_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name, server = request.param
    with site(name, tmp_path_factory.mktemp(name), server=server) as running:
        yield running


@pytest.fixture(scope="module")
def refused(running_site: Site) -> list[str]:
    """Return the first segment of each path of the management listener that clients must not reach."""
    told = running_site.instances[0].server.manage("/nope").json()["detail"]
    paths = told.removeprefix("There is only ").removesuffix(".").split(", ")
    names = {path.split("/")[1] for path in [*paths, *page.routes()]}
    assert {"", "readyz", "metrics", "status"} <= names
    return sorted(names - {"", "readyz"})  # the application also has paths with these names


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


def test_paths_that_only_look_similar_arrive(running_site: Site, refused: list[str]) -> None:
    names = ("a.b", "..c", "d...", ".well-known", "%2e%2e%2e", "a%20b", "100%25", *(f"{name}s" for name in refused))

    for form in [f"/{name}" for name in names]:
        assert "detail" in running_site.edge.get(form).json(), f"{form} is not refused by the service"


def test_readiness_shows_no_details(running_site: Site) -> None:
    forms = ["/readyz", "//readyz", "/%72eadyz", "/./readyz", "/x/../readyz"]

    answers = {f"{form}?{query}": "" for form in forms for query in ("verbose", "verbose=1", "exclude=nonsense")}
    for asked in answers:
        answers[asked] = running_site.edge.get(asked).body.decode()

    assert {} == {asked: text for asked, text in answers.items() if "temporary_directory" in text}
    assert {"status": "ok"} == json.loads(answers["/readyz?verbose"]) == json.loads(answers["/readyz?exclude=nonsense"])


def test_forged_headers_do_not_arrive(running_site: Site) -> None:
    answer = running_site.edge.get("/headers", FORGED)

    arrived = {name.lower(): value for name, value in answer.json().items()}
    assert "127.0.0.1" == arrived.pop("x-forwarded-for")
    assert "https" == arrived.pop("x-forwarded-proto")
    assert NAME == arrived.pop("x-forwarded-host")
    assert answer.headers["X-Request-ID"] == arrived.pop("x-request-id") != "forged"
    assert not {name.lower() for name in FORGED} & (arrived.keys() - {"connection", "x-request-start", "traceparent"})
    text = json.dumps(arrived)
    assert not [sent for name, sent in FORGED.items() if name != "Connection" and sent in text]
    seen = running_site.edge.get("/whoami", FORGED).json()
    assert ("127.0.0.1", "https", NAME) == (seen["client"], seen["scheme"], seen["host"])


def test_an_underscore_does_not_disguise_a_header(running_site: Site) -> None:
    """uWSGI adds the value to the header with ``-``, and waits for a body of the length in ``Content_Length``."""
    for name, sent in {**FORGED, "Content-Length": "66", "Content-Type": "text/evil"}.items():
        for form in {name.replace("-", "_"), name.replace("-", "_", 1)} - {name}:
            both = {form: sent} if name.startswith("Content") else {name: sent, form: sent}
            answer = running_site.edge.get("/headers", both)

            assert 200 == answer.status, form
            assert [] == [name for name, value in answer.json().items() if sent in value.split(", ")], form


def test_other_headers_may_have_an_underscore(running_site: Site) -> None:
    assert 200 == running_site.edge.get("/whoami", {"api_key": "x", "X_Own": "x"}).status


def test_no_size_falls_between_the_limits_of_the_proxy_and_those_of_the_server(running_site: Site) -> None:
    """The server itself would answer with HTML, or not at all."""
    edge = running_site.edge
    around = [4096, *range(8080, 8200, 6), *range(8182, 8194)]
    paths = ["/" + "x" * (size - len("GET / HTTP/1.1")) for size in around]
    fields = [{"X-Large": "x" * (size - len("X-Large: "))} for size in around]
    sums = [{f"X-{number}": "x" * 7000 for number in range(count)} for count in range(1, 5)]
    counts = [{f"X-{number}": "x" for number in range(count)} for count in range(85, 95)]

    answers = [*map(edge.get, paths), *(edge.get("/nope", headers) for headers in [*fields, *sums, *counts])]

    for answer in answers:
        assert "application/problem+json" == answer.headers["Content-Type"]
        assert answer.status == answer.json()["status"]
    assert {404, 414} == {answer.status for answer in answers[: len(paths)]}
    assert {404} == {answer.status for answer in answers[-len(sums + counts) :]}


def test_the_proxys_request_id_is_in_both_logs_and_the_response(running_site: Site) -> None:
    answer = running_site.edge.get("/items/7", FORGED)
    request_id = answer.headers["X-Request-ID"]

    (line,) = wait_until(lambda: running_site.lines("request", request_id=request_id), "the service's line")
    assert re.fullmatch(r"[0-9a-f]{32}", str(line["trace_id"]))
    assert str(line["trace_id"]).startswith(str(line["span_id"]))
    wait_until(lambda: request_id in running_site.edge.text(), "the edge's line")
    assert [request_id] == answer.headers.get_all("X-Request-ID")
