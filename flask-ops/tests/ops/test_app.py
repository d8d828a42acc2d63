from __future__ import annotations

import gc
import threading
from collections.abc import Iterable, Iterator

import pytest
from flask import Flask, session

import service.app
from flask_ops.health import Check
from flask_ops.ops.startup import PROCESS
from service.app import create_app
from service.settings import Settings
from service.views import views
from tests.exposition import value
from tests.process import wait_until


@pytest.fixture(autouse=True)
def own_runtime() -> Iterator[None]:
    """Start each test with counts of 0."""
    with PROCESS.isolated():
        yield


def build(checks: Iterable[Check] = (), **environ: str) -> Flask:
    return create_app(Settings.from_environ({"SERVICE_ENV": "testing", **environ}), views=views, checks=checks)


def metrics(app: Flask) -> str:
    return app.test_client().get("/metrics").text


def count(app: Flask, route: str) -> float:
    text = metrics(app)
    return value(text, "flask_http_request_total", route=route)


def test_nothing_is_built_at_import() -> None:
    assert not [thing for thing in vars(service.app).values() if isinstance(thing, Flask)]


def test_two_apps_in_one_process_have_their_settings_and_share_the_metrics() -> None:
    one, two = build(SERVICE_NAME="one"), build(SERVICE_NAME="two")

    for app, name in [(one, "one"), (two, "two"), (one, "one")]:
        # A request ends when its response is closed. The test client leaves that to its user.
        with app.test_client().get("/") as answer:
            assert name == answer.get_json()["name"]

    assert (3, 3) == (count(one, "/"), count(two, "/"))


def test_what_an_application_does_in_the_background_ends_with_it() -> None:
    """A test suite that builds an application for each test ends with as many threads as it started with."""
    before = set(threading.enumerate())
    app = build([Check("often", lambda: None, interval=0.01)])
    app.test_client().get("/")
    started = set(threading.enumerate()) - before
    assert {"pulse", "check-often"} == {thread.name for thread in started}
    del app
    PROCESS.runtime = None

    def ended() -> bool:
        gc.collect()  # in each attempt: a thread that is working keeps the application alive
        return not any(thread.is_alive() for thread in started)

    wait_until(ended, "the end of its threads")


def test_debug_is_on_in_development_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")

    modes = {mode: build(SERVICE_ENV=mode).debug for mode in ("development", "testing", "production")}

    assert {"development": True, "testing": False, "production": False} == modes


def test_in_testing_an_exception_reaches_the_test_and_is_counted() -> None:
    app = build()

    @app.get("/boom")
    def boom() -> str:
        raise LookupError

    with pytest.raises(LookupError):
        app.test_client().get("/boom")
    assert 1 == value(metrics(app), "flask_http_request_exceptions_total", route="/boom")


def test_a_handler_of_the_adopter_may_answer_for_an_exception() -> None:
    app = build(SERVICE_ENV="production")

    @app.get("/boom")
    def boom() -> str:
        raise LookupError

    @app.errorhandler(500)
    def sorry(_: Exception) -> tuple[str, int]:
        return "sorry", 200

    with app.test_client().get("/boom") as answer:
        assert "sorry" == answer.get_data(as_text=True)
    assert 1 == value(metrics(app), "flask_http_request_exceptions_total", route="/boom", status="200")


def test_sessions_need_a_secret_key_and_are_signed_with_it() -> None:
    for secret, status in [("", 500), ("0123456789abcdef", 200)]:
        app = build(SERVICE_ENV="production", SERVICE_SECRET_KEY=secret)

        @app.get("/remember")
        def remember() -> str:
            session["seen"] = True
            return "ok"

        assert status == app.test_client().get("/remember").status_code


def test_not_ready_until_every_critical_check_has_a_first_result() -> None:
    go = threading.Event()
    app = build([Check("slow", lambda: go.wait(20), timeout=30.0)])
    client = app.test_client()

    answer = client.get("/readyz")
    assert (503, {"status": "starting"}) == (answer.status_code, answer.get_json())
    assert 200 == client.get("/healthz").status_code

    go.set()
    wait_until(lambda: client.get("/readyz").status_code == 200, "ready")
    assert {"status": "ok"} == client.get("/readyz").get_json()


@pytest.mark.parametrize(("critical", "status", "code"), [(True, "down", 503), (False, "degraded", 200)])
def test_a_failing_check_counts_as_far_as_it_is_critical(critical: bool, status: str, code: int) -> None:
    """A check gets at the settings as a view does."""

    def fail() -> None:
        raise {"shop": LookupError}[Settings.current().name]

    client = build([Check("database", fail, critical=critical)], SERVICE_NAME="shop").test_client()

    wait_until(lambda: client.get("/readyz").get_json() == {"status": status}, status)
    answer = client.get("/readyz?verbose")
    assert (code, "LookupError") == (answer.status_code, answer.get_json()["checks"]["database"]["reason"])


def test_openmetrics_is_served_to_who_accepts_it() -> None:
    client = build().test_client()

    plain = client.get("/metrics")
    openmetrics = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert plain.content_type.startswith("text/plain; version=")
    assert openmetrics.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.text.endswith("# EOF\n")
