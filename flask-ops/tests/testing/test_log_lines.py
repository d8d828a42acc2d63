"""The fixture ``log_lines``: the lines written during the test, as in production."""

from __future__ import annotations

import pytest

from tests.testing.user import CONFTEST, User

TESTING = 'Settings.from_environ({"SERVICE_ENV": "testing"})'


def test_every_line_of_the_test_is_found_by_event_and_fields(user: User) -> None:
    """They are lines of structlog, logging and requests, masked, from the configured level up."""
    user.passes("""
        def test_lines(client, log_lines):
            client.post("/orders/book")

            assert ["order taken", "low stock of book", "request"] == [line["event"] for line in log_lines()]
            [taken] = log_lines("order taken")
            [stock] = log_lines("low stock of book", level="warning", logger="shop.stock")
            [request] = log_lines("request", route="/orders/<kind>", method="POST", status=200)
            assert ("book", "[masked]") == (taken["kind"], taken["password"])
            assert 1 == len({line["request_id"] for line in (taken, stock, request)})
            assert [] == log_lines("order taken", kind="pen")
            assert [] == log_lines("order taken", colour=None)
    """)


def test_two_tests_do_not_see_the_lines_of_each_other(user: User) -> None:
    user.passes("""
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_one(client, log_lines, number):
            client.get("/stream")
            assert 1 == len(log_lines())
    """)


def test_lines_of_threads_are_found(user: User) -> None:
    user.passes("""
        import threading
        import service

        def test_thread(log_lines):
            thread = threading.Thread(target=service.log.info, args=["far away"])
            thread.start()
            thread.join()
            assert 1 == len(log_lines("far away"))
    """)


def test_a_test_that_fails_shows_the_lines(user: User) -> None:
    said = user.message("""
        def test_lines(client, log_lines):
            client.post("/orders/book")
            assert [] == log_lines("order taken")
    """)

    assert '"event":"low stock of book"' in said


@pytest.mark.parametrize("level", ["DEBUG", "WARNING", "ERROR"])
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


@pytest.mark.parametrize(
    ("chosen", "field"), [("ecs", "http.response.status_code"), ("otel", "attributes"), ("json", "status")]
)
def test_lines_have_the_fields_of_the_chosen_format(user: User, chosen: str, field: str) -> None:
    """The fixture finds the event in each format."""
    user.conftest(CONFTEST.replace('"testing"', f'"testing", "SERVICE_LOG_FORMAT": "{chosen}"'))

    user.passes(f"""
        def test_lines(client, log_lines):
            client.get("/stream")
            [line] = log_lines("request")
            assert "{field}" in line
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
