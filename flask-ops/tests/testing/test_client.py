"""The fixture ``client``: a request is over when its call returns."""

from __future__ import annotations

from tests.testing.user import CONFTEST, User


def test_the_line_and_the_count_of_a_request_are_there_after_the_call(user: User) -> None:
    """This includes streams: their responses are read to the end and closed."""
    user.passes("""
        def test_stream(client, log_lines, metrics):
            answer = client.get("/stream")

            assert b"onetwo" == answer.data
            assert [6] == [line["bytes"] for line in log_lines("request", route="/stream", status=200)]
            assert 1 == metrics("flask_http_request_total", route="/stream")
    """)


def test_an_exception_reaches_the_test_after_its_request_was_counted(user: User) -> None:
    """This requires ``app.testing``, as in Flask."""
    user.passes("""
        import pytest

        def test_boom(app, client, log_lines, metrics):
            app.testing = True
            with pytest.raises(LookupError):
                client.get("/boom")

            assert ["exception"] == [line["outcome"] for line in log_lines("request", status=500)]
            assert 1 == metrics("flask_http_request_exceptions_total", route="/boom")
    """)


def test_a_response_can_be_left_open(user: User) -> None:
    """This is for streams without an end. A client that closes such a stream has disconnected early."""
    user.passes("""
        def test_stream(client, log_lines):
            answer = client.get("/stream", buffered=False)
            assert [] == log_lines("request")
            answer.close()
            assert ["client_disconnected"] == [line["outcome"] for line in log_lines("request")]
    """)


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


def test_cookies_and_redirects_work_as_in_flask(user: User) -> None:
    user.passes("""
        from flask import redirect, request

        def test_cookie(app, client, log_lines):
            @app.get("/set")
            def set_cookie():
                response = redirect("/read")
                response.set_cookie("seen", "yes")
                return response

            app.add_url_rule("/read", "read", lambda: request.cookies["seen"])

            assert "yes" == client.get("/set", follow_redirects=True).text
            assert ["/set", "/read"] == [line["route"] for line in log_lines("request")]
    """)
