"""Error messages for a wrong set-up of the plugin."""

from __future__ import annotations

from tests.testing.user import CONFTEST, User

EACH_FIXTURE = """
    import pytest

    @pytest.mark.parametrize("name", ["client", "log_lines", "metrics", "run_check"])
    def test_it(request, name):
        request.getfixturevalue(name)
"""
"""A test that uses each fixture."""


def test_without_a_fixture_app_the_user_is_told_how_to_write_it(user: User) -> None:
    user.conftest('pytest_plugins = ["flask_ops.testing"]')

    said = user.message(EACH_FIXTURE)

    assert 4 == said.count("\nThere is no fixture 'app'. Define it in conftest.py: it returns your Flask application")


def test_an_application_without_ops_is_refused(user: User) -> None:
    user.conftest("""
        import pytest
        from flask import Flask

        pytest_plugins = ["flask_ops.testing"]

        @pytest.fixture
        def app():
            return Flask("bare")
    """)

    said = user.message(EACH_FIXTURE)

    expected = (
        "\nThe application 'bare' of the fixture 'app' has no log lines, metrics and checks of flask_ops. "
        "Call flask_ops.Ops(app) in its factory."
    )
    assert 4 == said.count(expected)


def test_something_else_than_an_application_is_refused(user: User) -> None:
    user.conftest("""
        import pytest

        pytest_plugins = ["flask_ops.testing"]

        @pytest.fixture
        def app():
            return print
    """)

    said = user.message("def test_it(client): pass")

    assert "returns <built-in function print>, a builtin_function_or_method. Return a Flask application." in said


def test_conftest_may_import_the_types_of_the_fixtures(user: User) -> None:
    """pytest warns about plugins imported before it could rewrite their assertions. Warnings are errors here."""
    user.conftest("from flask_ops.testing import LogLines, MetricChanges, RunCheck\n" + CONFTEST)

    user.passes("def test_it(client): pass")
