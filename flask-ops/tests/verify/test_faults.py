"""The findings of `verify`, each caused by a server with exactly one fault."""

from __future__ import annotations

import json
import math

import pytest

from flask_ops.cli.verify import counting
from tests.verify.impostor import Change, Impostor, Reply, impostor
from tests.verify.verifying import verify


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the wait for counts that will not come."""
    monkeypatch.setattr(counting, "SECONDS", 0.2)


def header(name: str, value: str) -> Change:
    return lambda reply: reply.headers.__setitem__(name, value)


def drop(name: str) -> Change:
    return lambda reply: reply.headers.__delitem__(name)


def body(content: bytes, status: int = 200, **headers: str) -> Change:
    def change(reply: Reply) -> None:
        reply.body, reply.status = content, status
        reply.headers |= {name.replace("_", "-"): value for name, value in headers.items()}

    return change


def problem(**fields: object) -> Change:
    def change(reply: Reply) -> None:
        reply.body = json.dumps({**json.loads(reply.body), **fields}).encode()

    return change


def test_the_one_that_changes_nothing_passes() -> None:
    with impostor() as server:
        found = verify(server.url)

    assert (0, [("exposed", "warning")]) == (found.code, found.bad())
    assert ["They count exactly the 10 requests made here."] == found.texts("metrics", "ok")


FAULTS: list[tuple[str, Change, str, str]] = [
    ("/", body(b"", 500), "/", "500 Internal Server Error"),
    ("/", body(b"", 302, Location="https://user:secret@example.com/in?token=secret"), "/", "302 to https://exa"),
    ("/healthz", body(b'{"status":"down"}', 503), "/healthz", "503 Service Unavailable, down."),
    ("/healthz", body(b"<html>", Content_Type="text/html"), "/healthz", "not the probe's JSON (text/html)"),
    ("/healthz", body(b"[]"), "/healthz", "not the probe's JSON"),
    ("/healthz", body(b"[" * 200_000), "/healthz", "not the probe's JSON"),
    ("/readyz", body(b'{"a":' * 200_000), "/readyz", "not the probe's JSON"),
    ("/healthz", drop("Cache-Control"), "caching", "/healthz has no"),
    ("/readyz", body(b'{"status":"starting"}', 503), "/readyz", "starting"),
    ("/readyz", drop("Cache-Control"), "caching", "/readyz has no"),
    ("*", body(b"<html>", 404, Content_Type="text/html"), "404", "An error is text/html"),
    ("*", body(b"{}", 200, Content_Type="application/json"), "404", "answers 200 OK"),
    ("*", problem(request_id="another"), "404", "request_id differs from the header"),
    ("*", drop("X-Request-ID"), "404", "request_id differs from the header"),
    ("/", drop("X-Request-ID"), "request id", "no id when none was sent"),
    ("/", header("X-Request-ID", "not an id"), "request id", "no id when none was sent"),
    ("/", header("X-Request-ID", "always"), "request id", "have the same id"),
    ("/", header("Server", "Werkzeug/3.1 Python/3.13"), "server", "development server"),
    ("/", body(b"", Content_Type="text/css"), "server", "its debugger"),
    ("/livez", body(b'{"status":"ok"}'), "exposed", "/livez"),
    ("/drain", lambda reply: reply.problem(405, Allow="POST"), "exposed", "/drain"),
]


def test_each_fault_is_found() -> None:
    for path, change, subject, words in FAULTS:
        with impostor({path: change}) as server:
            found = verify(server.url)

        assert 1 == found.code
        assert any(words in text for text in found.texts(subject, "error")), (words, found)
        assert "secret" not in found.out


NO_FAULTS: list[tuple[str, Change, str, str]] = [
    ("/", header("Server", "nginx"), "server", "ok"),
    ("/readyz", body(b'{"status":"degraded"}'), "/readyz", "warning"),
    ("/metrics", lambda reply: reply.problem(403), "exposed", "ok"),
    ("/metrics", lambda reply: reply.problem(403), "metrics", "note"),
    ("/metrics", body(b"<html>\n<p>all is {well", Content_Type="text/html"), "metrics", "note"),
    ("/livez", body(b'{"lives":9}'), "exposed", "ok"),
    ("/info", body(b'{"pid":9}'), "exposed", "ok"),
    ("/drain", lambda reply: reply.problem(405, Allow="GET, POST"), "exposed", "ok"),
]


def test_what_may_be_so_is_no_failure() -> None:
    for path, change, subject, severity in NO_FAULTS:
        with impostor({path: change}) as server:
            found = verify(server.url)

        assert 0 == found.code, found
        assert found.texts(subject, severity), (subject, found)


def test_public_metrics_under_another_spelling_are_an_error() -> None:
    def tell(reply: Reply) -> None:
        usual = Impostor({}).reply("/metrics", {})
        reply.status, reply.headers, reply.body = usual.status, usual.headers, usual.body

    for path in ("/./metrics", "/x/../metrics", "/%6detrics", "/metric%73%", "/metrics%"):
        with impostor({"/metrics": lambda reply: reply.problem(404), path: tell}) as server:
            public, inside = verify(server.url, "--public"), verify(server.url)

        assert (1, [f"/metrics is refused, but not {path}."]) == (public.code, public.texts("exposed", "error"))
        assert 0 == inside.code


def test_a_proxy_may_replace_request_ids() -> None:
    made = iter(range(1000))
    with impostor({"/": lambda reply: reply.headers.__setitem__("X-Request-ID", f"proxy-{next(made)}")}) as server:
        found = verify(server.url)

    assert 0 == found.code
    assert found.texts("request id", "note")


def test_the_metrics_must_count_all_requests_made_here() -> None:
    for times, severity, words in (
        (0.5, "error", "They count 5 of 10 requests."),
        (0, "error", "They count 0 of 10 requests."),
        (math.nan, "error", "They count nan of 10 requests."),
        (math.inf, "error", "They count nan of 10 requests."),
        (2, "ok", "They count at least the 10 requests made here: 20, with other clients."),
    ):
        with impostor() as server:
            server.times = times
            found = verify(server.url)

        assert (severity == "error") == (found.code == 1)
        assert [words] == found.texts("metrics", severity)


def test_a_management_address_that_refuses_is_reported_with_the_remedy() -> None:
    for status, remedy in ((401, "SERVICE_MANAGEMENT_TOKEN_FILE for this command"), (421, "SERVICE_MANAGEMENT_HOSTS")):
        with impostor() as server, impostor({"/info": body(b"{}", status)}) as management:
            found = verify(server.url, f"--management={management.url}")

        (finding,) = [each for each in found.findings if (each["subject"], each["severity"]) == ("management", "error")]
        assert f"answers {status} " in finding["text"]
        assert remedy in finding["cure"]


def test_the_sum_over_several_instances_is_what_counts() -> None:
    management = {"/info": INFO, "/livez": LIVEZ}
    with impostor() as server, impostor(management) as one, impostor(management) as two:
        server.changes["/healthz"] = lambda _: count_at(one, two)
        found = verify(server.url, f"--management={one.url}", f"--management={two.url}")

    assert ["They count exactly the 10 requests made here."] == found.texts("metrics", "ok")
    assert 2 == len(found.texts("management", "ok"))


INFO = body(b'{"name":"x","version":"1","server":"gunicorn","pid":1,"mode":"production"}')
LIVEZ = body(b'{"status":"ok"}')


def count_at(*others: Impostor) -> None:
    """Count a request at the server with the lowest count."""
    min(others, key=lambda each: each.counted).counted += 1


def test_scrapes_of_different_instances_are_not_compared() -> None:
    """Behind a load balancer, each scrape may reach another instance."""
    numbers = iter(range(1000))

    def another(reply: Reply) -> None:
        reply.body = reply.body.replace(b"seconds 1.0", b"seconds %d" % next(numbers))

    with impostor({"/metrics": another}) as server:
        found = verify(server.url)

    assert 0 == found.code
    assert "not of the same instance" in found.texts("metrics", "warning")[0]


def test_what_a_proxy_hides_the_metrics_tell() -> None:
    for label in ('server="werkzeug",mode="production"', 'server="gunicorn",mode="development"'):
        build = b"flask_http_request_total 1\nservice_build_info{%s} 1\n" % label.encode()
        with impostor({"/metrics": body(build)}) as server:
            assert ("server", "error") in verify(server.url).bad()


def test_a_service_without_a_first_page_is_asked_for_another_path() -> None:
    def todos(reply: Reply) -> None:
        reply.status, reply.headers["Content-Type"] = 200, "application/json"

    with impostor({"/": lambda reply: reply.problem(404), "/todos": todos}) as server:
        without, found = verify(server.url), verify(server.url, "--path=/todos")

    assert (1, ["It answers 404 Not Found."]) == (without.code, without.texts("/", "error"))
    assert (0, ["200 OK, application/json"]) == (found.code, found.texts("/todos", "ok"))
    assert 1 == len(found.texts("request id", "ok"))


def test_each_path_is_asked_below_that_of_the_url() -> None:
    with impostor() as server:
        verify(f"{server.url}/shop/")

        assert server.asked
        assert [] == [path for path in server.asked if not path.startswith("/shop/")]
