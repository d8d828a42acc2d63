"""The process of the tests, which each test leaves unchanged."""

from __future__ import annotations

import pytest

from tests.testing.user import CONFTEST, User

TESTING = 'Settings.from_environ({"SERVICE_ENV": "testing"})'
STATE = """

import logging
import os
import sys
import threading
import warnings

import structlog
from flask_ops.log import sink
from flask_ops.ops.startup import PROCESS


def state():
    root = logging.getLogger()
    return {
        "handlers": list(root.handlers),
        "levels": {None: root.level, **{n: logging.getLogger(n).level for n in ("service", "flask_ops", "werkzeug")}},
        "factory": logging.getLogRecordFactory(),
        "warnings": (warnings.showwarning, logging._warnings_showwarning),
        "structlog": (structlog.is_configured(), structlog.get_config()),
        "streams": (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "environ": dict(os.environ, PYTEST_CURRENT_TEST=""),
        "runtime": PROCESS.runtime,
        "settings": PROCESS.settings,
        "writer": sink._process.writer,
        "describe": sink._process.output.describe,
        "threads": threading.enumerate(),
    }


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    before = state()
    result = yield
    after = state()
    changed = [f"CHANGED {name}: {before[name]} -> {after[name]}" for name in before if before[name] != after[name]]
    sys.__stderr__.write("\\n".join(changed) or "SAME\\n")
    return result
"""
TESTS = """
    import pytest

    def test_all(client, log_lines, metrics, run_check):
        client.post("/orders/book")
        client.get("/readyz")
        run_check("database")
        assert log_lines("request")

    def test_that_fails(client, log_lines):
        client.post("/orders/book")
        assert False

    def test_that_fails_to_begin(client, log_lines, no_such_fixture):
        pass

    @pytest.mark.parametrize("fixture", ["client", "log_lines", "metrics", "run_check"])
    def test_one(fixture, request):
        request.getfixturevalue(fixture)

    def test_app_only(app):
        pass

    def test_none():
        pass
"""
EXPECTED = {"passed": 7, "failed": 1, "errors": 1}


@pytest.mark.parametrize(("settings", "options"), [(TESTING, ["-s"]), ("", []), ("", ["--log-level=DEBUG"])])
def test_each_test_leaves_the_process_as_it_was(user: User, settings: str, options: list[str]) -> None:
    """It does not matter if ``Ops`` gets settings or reads the environment's."""
    user.conftest(CONFTEST.replace(TESTING, settings) + STATE)

    result = user.run(TESTS, *options)

    assert EXPECTED == result.parseoutcomes()
    assert "CHANGED" not in result.stderr.str()
    assert 9 == result.stderr.str().count("SAME")


@pytest.mark.parametrize(
    ("ending", "outcome"), [("raise OSError", {"errors": 1}), ("yield app\n    create_app()", {"passed": 1})]
)
def test_the_end_of_the_fixture_belongs_to_the_application(user: User, ending: str, outcome: dict[str, int]) -> None:
    """Changes that the process makes at that time are undone, too, also if the fixture fails."""
    user.conftest(CONFTEST.replace(TESTING, "").replace("return app", ending) + STATE)

    result = user.run("def test_it(client): pass")

    assert outcome == result.parseoutcomes()
    assert "SAME" == result.stderr.str().strip()


def test_an_application_for_the_whole_session_is_the_last_thing_that_changes_the_process(user: User) -> None:
    """Its changes are undone at the end of the session."""
    user.conftest(
        CONFTEST.replace(TESTING, "").replace("@pytest.fixture", '@pytest.fixture(scope="session")')
        + STATE.replace("runtest_protocol(item)", "runtestloop(session)")
    )

    result = user.run(TESTS)

    assert EXPECTED == result.parseoutcomes()
    assert "SAME" == result.stderr.str().strip()


def test_the_counts_and_lines_of_a_session_application_are_those_of_the_test(user: User) -> None:
    user.conftest(CONFTEST.replace("@pytest.fixture", '@pytest.fixture(scope="session")'))

    user.passes("""
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_order(client, log_lines, metrics, number):
            client.post("/orders/book")
            assert 1 == len(log_lines("request"))
            assert 1 == metrics("flask_http_request_total", route="/orders/<kind>")
            assert 1 == metrics("orders_total")
    """)


def test_loggers_that_a_test_has_used_are_as_before(user: User) -> None:
    """structlog's own ``capture_logs`` finds the events of a logger only if the logger is not cached."""
    user.conftest(CONFTEST.replace(TESTING, ""))

    user.passes("""
        import structlog
        import service

        def test_with_the_plugin(client, log_lines):
            client.post("/orders/book")
            assert log_lines("order taken")

        def test_without():
            with structlog.testing.capture_logs() as events:
                service.log.info("order taken", kind="book")
            assert [{"event": "order taken", "kind": "book", "log_level": "info"}] == events
    """)


def test_a_plugin_of_which_no_fixture_is_used_changes_nothing(user: User) -> None:
    """A test can still create an application itself, which then has its threads."""
    user.conftest(CONFTEST + STATE)

    result = user.run("""
        import threading

        def test_none(capsys):
            assert "MainThread" == threading.main_thread().name

        def test_by_itself():
            from service import create_app
            from flask_ops import Settings

            client = create_app(Settings.from_environ({"SERVICE_ENV": "testing"})).test_client()
            with client.get("/stream") as answer:
                assert b"onetwo" == answer.data
            assert "pulse" in {thread.name for thread in threading.enumerate()}
    """)

    assert {"passed": 2} == result.parseoutcomes()
    assert 1 == result.stderr.str().count("SAME")
