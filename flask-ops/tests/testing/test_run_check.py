"""The fixture ``run_check``: one run of a readiness check, at once."""

from __future__ import annotations

from tests.testing.user import CONFTEST, User


def test_a_check_that_passes_and_one_that_fails_have_a_result(user: User) -> None:
    """Each call runs the check again, in the test's thread."""
    user.passes("""
        def test_database(app, run_check, log_lines):
            result = run_check("database")
            assert ("database", "ok", True) == (result.name, result.status, result.critical)
            assert (None, None) == (result.reason, result.error)

            app.config["BROKEN"] = True
            result = run_check("database")
            assert ("down", "ConnectionError", "refused") == (result.status, result.reason, str(result.error))
            assert 1 == len(log_lines("readiness check is down", reason="ConnectionError: refused"))

            app.config["BROKEN"] = False
            assert "ok" == run_check("database").status

        def test_cache(run_check):
            assert ("ok", False) == (run_check("cache").status, run_check("cache").critical)
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


def test_readiness_runs_the_checks_when_it_is_asked(user: User) -> None:
    """It uses no threads, and does not wait for several failures in a row, unlike a running service."""
    user.passes("""
        import threading

        def test_readyz(app, client):
            before = threading.enumerate()
            assert {"status": "ok"} == client.get("/readyz").get_json()
            app.config["BROKEN"] = True
            assert (503, {"status": "down"}) == (client.get("/readyz").status_code, client.get("/readyz").get_json())
            assert "ConnectionError" == client.get("/readyz?verbose").get_json()["checks"]["database"]["reason"]
            assert {"status": "ok"} == client.get("/readyz?exclude=database").get_json()
            assert before == threading.enumerate()
    """)


def test_an_unknown_check_is_refused_with_those_that_are_known(user: User) -> None:
    said = user.message("""
        def test_check(run_check):
            run_check("databse")
    """)

    assert "LookupError: There is no check called 'databse', only cache, database." in said


def test_an_application_without_checks_says_so(user: User) -> None:
    user.conftest("import service\nservice.CHECKS = ()\n" + CONFTEST)

    said = user.message("""
        def test_check(run_check):
            run_check("database")
    """)

    assert "There is no check called 'database': the application has no checks." in said
