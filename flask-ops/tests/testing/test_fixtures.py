"""The fixtures of the plugin, in the tests of a user, and the messages for a wrong use."""

from __future__ import annotations

import pytest

from tests.testing.user import CONFTEST, User

TESTING = 'Settings.from_environ({"SERVICE_ENV": "testing"})'
TESTS = '''
import threading

import pytest
import service
from flask import redirect, request

service.ORDERS.labels("book").inc(7)


def test_the_line_and_the_count_of_a_request_are_there_after_the_call(client, log_lines, metrics):
    """This includes streams: their responses are read to the end and closed."""
    answer = client.get("/stream")

    assert b"onetwo" == answer.data
    assert [6] == [line["bytes"] for line in log_lines("request", route="/stream", status=200)]
    assert 1 == metrics("flask_http_request_total", route="/stream")


def test_an_exception_reaches_the_test_after_its_request_was_counted(app, client, log_lines, metrics):
    """This requires ``app.testing``, as in Flask."""
    app.testing = True
    with pytest.raises(LookupError):
        client.get("/boom")

    assert ["exception"] == [line["outcome"] for line in log_lines("request", status=500)]
    assert 1 == metrics("flask_http_request_exceptions_total", route="/boom")


def test_a_response_can_be_left_open(client, log_lines):
    """This is for streams without an end. A client that closes such a stream has disconnected early."""
    answer = client.get("/stream", buffered=False)
    assert [] == log_lines("request")
    answer.close()
    assert ["client_disconnected"] == [line["outcome"] for line in log_lines("request")]


def test_cookies_and_redirects_work_as_in_flask(app, client, log_lines):
    @app.get("/set")
    def set_cookie():
        response = redirect("/read")
        response.set_cookie("seen", "yes")
        return response

    app.add_url_rule("/read", "read", lambda: request.cookies["seen"])

    assert "yes" == client.get("/set", follow_redirects=True).text
    assert ["/set", "/read"] == [line["route"] for line in log_lines("request")]


def test_every_line_of_the_test_is_found_by_event_and_fields(client, log_lines):
    """They are lines of structlog, logging and requests, masked, from the configured level up."""
    client.post("/orders/book")

    assert ["order taken", "low stock of book", "request"] == [line["event"] for line in log_lines()]
    [taken] = log_lines("order taken")
    [stock] = log_lines("low stock of book", level="warning", logger="shop.stock")
    [request] = log_lines("request", route="/orders/<kind>", method="POST", status=200)
    assert ("book", "[masked]") == (taken["kind"], taken["password"])
    assert 1 == len({line["request_id"] for line in (taken, stock, request)})
    assert [] == log_lines("order taken", kind="pen")
    assert [] == log_lines("order taken", colour=None)


@pytest.mark.parametrize("number", range(3))
def test_two_tests_do_not_see_the_lines_of_each_other(client, log_lines, number):
    client.get("/stream")
    assert 1 == len(log_lines())


def test_lines_of_threads_are_found(log_lines):
    thread = threading.Thread(target=service.log.info, args=["far away"])
    thread.start()
    thread.join()
    assert 1 == len(log_lines("far away"))


@pytest.mark.parametrize("number", range(2))
def test_metrics_of_the_library_and_of_the_user_are_compared_with_the_start(client, metrics, number):
    """Samples with further labels are summed."""
    for kind in ["book", "book", "pen"]:
        client.post(f"/orders/{kind}")

    assert 2 == metrics("orders_total", kind="book")
    assert 3 == metrics("orders_total")
    assert 0 == metrics("orders_total", kind="car")
    assert 3 == metrics("price_count")
    assert 37.5 == metrics("price_sum")
    assert 3 == metrics("price_bucket", le="+Inf")
    assert 3 == metrics("flask_http_request_total", route="/orders/<kind>", status=200)
    assert 3 == metrics("flask_http_request_duration_seconds_count", route="/orders/<kind>")
    assert 0 == metrics("service_requests_in_flight")


def test_what_was_counted_before_the_test_does_not_count(client, metrics):
    client.post("/orders/book")
    assert 1 == metrics("orders_total", kind="book")
    client.post("/orders/book")
    assert 2 == metrics("orders_total", kind="book")


def test_a_metric_without_a_value_yet_is_0(metrics):
    """Its labels have not been used."""
    assert 0 == metrics("refunds_total", kind="book")


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("orders", {}, "The scrape has no sample called 'orders'. Did you mean orders_total?"),
        ("order_totals", {}, "The scrape has no sample called 'order_totals'. Did you mean orders_total"),
        ("price", {}, "Did you mean price_bucket or price_count or price_sum?"),
        ("zzzzzz", {}, "The scrape has no sample called 'zzzzzz'. It has flask_http_request_duration_seconds_"),
        ("flask_http_request_total", {"path": "/"}, "flask_http_request_total has no label 'path'. "),
        ("flask_http_request_total", {"path": "/"}, "Its labels are method, route, status."),
        ("service_requests_in_flight", {"route": "/"}, "It has no labels."),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_are_known(client, metrics, name, labels, expected):
    with pytest.raises(LookupError) as raised:
        metrics(name, **labels)
    assert expected in str(raised.value)


def test_no_check_runs_for_a_metric(client, metrics, log_lines, app):
    """A user's check may need a database, which a test of metrics does not have."""
    app.config["BROKEN"] = True
    client.get("/stream")
    assert 1 == metrics("flask_http_request_total", route="/stream")
    assert [] == log_lines(check="database")


def test_a_check_that_passes_and_one_that_fails_have_a_result(app, run_check, log_lines):
    result = run_check("database")
    assert ("database", "ok", True) == (result.name, result.status, result.critical)
    assert (None, None) == (result.reason, result.error)

    app.config["BROKEN"] = True
    result = run_check("database")
    assert ("down", "ConnectionError", "refused") == (result.status, result.reason, str(result.error))
    assert 1 == len(log_lines("readiness check is down", reason="ConnectionError: refused"))

    app.config["BROKEN"] = False
    assert "ok" == run_check("database").status
    assert ("ok", False) == (run_check("cache").status, run_check("cache").critical)


def test_readiness_runs_the_checks_when_it_is_asked(app, client):
    """It uses no threads, and does not wait for several failures in a row, unlike a running service."""
    before = threading.enumerate()
    assert {"status": "ok"} == client.get("/readyz").get_json()
    app.config["BROKEN"] = True
    assert (503, {"status": "down"}) == (client.get("/readyz").status_code, client.get("/readyz").get_json())
    assert "ConnectionError" == client.get("/readyz?verbose").get_json()["checks"]["database"]["reason"]
    assert {"status": "ok"} == client.get("/readyz?exclude=database").get_json()
    assert before == threading.enumerate()
'''


def test_each_fixture_does_what_it_says(user: User) -> None:
    user.passes(TESTS)


def test_a_test_that_fails_shows_the_mistake_and_the_lines_and_not_the_inside_of_the_plugin(user: User) -> None:
    said = user.message("""
        def test_lines(client, log_lines):
            client.post("/orders/book")
            assert [] == log_lines("order taken")

        def test_counts(metrics):
            metrics("orders")

        def test_check(run_check):
            run_check("databse")
    """)

    assert '"event":"low stock of book"' in said
    assert "Did you mean orders_total?" in said
    assert '>       metrics("orders")' in said
    assert "LookupError: There is no check called 'databse', only cache, database." in said


def test_the_client_class_of_the_application_is_kept(user: User) -> None:
    user.conftest(
        CONFTEST.replace("return app", "app.test_client_class = Client\n    return app")
        + """
from flask.testing import FlaskClient


class Client(FlaskClient):
    def order(self, kind):
        return self.post(f"/orders/{kind}")
"""
    )

    user.passes("""
        def test_order(client, log_lines):
            assert "taken" == client.order("book").text
            assert 1 == len(log_lines("request"))
    """)


@pytest.mark.parametrize("level", ["DEBUG", "ERROR"])
def test_the_level_is_that_of_the_service_whatever_pytest_shows(user: User, level: str) -> None:
    """pytest's option ``log_level`` sets the root logger's level again in each phase of a test."""
    user.passes(
        """
        def test_lines(client, log_lines):
            client.post("/orders/book")
            assert ["order taken", "low stock of book", "request"] == [line["event"] for line in log_lines()]
        """,
        f"--log-level={level}",
    )


def test_lines_have_the_fields_of_the_chosen_format(user: User) -> None:
    """The fixture finds the event in each format."""
    user.conftest(CONFTEST.replace('"testing"', '"testing", "SERVICE_LOG_FORMAT": "ecs"'))

    user.passes("""
        def test_lines(client, log_lines):
            client.get("/stream")
            [line] = log_lines("request")
            assert "http.response.status_code" in line
    """)


def test_lines_for_people_are_refused_with_the_cure(user: User) -> None:
    user.conftest(CONFTEST.replace('"testing"', '"development"'))

    said = user.message("def test_lines(log_lines): pass")

    assert "log_lines reads JSON, and SERVICE_LOG_FORMAT is 'console'." in said
    assert "SERVICE_ENV=testing or SERVICE_LOG_FORMAT=json" in said


def test_an_application_that_reads_the_environment_has_each_line_once(user: User) -> None:
    """``Ops(app)`` configures the log of the process."""
    user.conftest(CONFTEST.replace(TESTING, ""))

    user.passes("""
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_lines(client, log_lines, number):
            client.post("/orders/book")
            assert ["order taken", "low stock of book", "request"] == [line["event"] for line in log_lines()]
    """)


def test_structlog_as_the_application_has_configured_it_stays(user: User) -> None:
    configured = """structlog.configure(
        [structlog.stdlib.render_to_log_kwargs], logger_factory=structlog.stdlib.LoggerFactory()
    )
    return app
"""
    user.conftest("import structlog\n" + CONFTEST.replace("return app", configured))

    user.passes("""
        def test_lines(client, log_lines):
            client.post("/orders/book")
            [line] = log_lines("order taken")
            assert ("service", "book", "[masked]") == (line["logger"], line["kind"], line["password"])
    """)


def test_a_check_that_takes_too_long_is_down(user: User) -> None:
    user.conftest(
        CONFTEST
        + """
import time

from flask import Flask

from flask_ops import Check, Ops


@pytest.fixture
def app():
    app = Flask("slow")
    Ops(app, Settings.from_environ({}), checks=[Check("slow", lambda: time.sleep(0.05), timeout=0.01)])
    return app
"""
    )

    user.passes("""
        def test_slow(run_check):
            result = run_check("slow")
            assert ("down", "timed out", None) == (result.status, result.reason, result.error)
            assert result.seconds >= 0.05
    """)


def test_an_application_without_checks_says_so(user: User) -> None:
    user.conftest("import service\nservice.CHECKS = ()\n" + CONFTEST)

    said = user.message("""
        def test_check(run_check):
            run_check("database")
    """)

    assert "There is no check called 'database': the application has no checks." in said
