from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from http import HTTPStatus
from typing import Any

import pytest
from flask import Flask, Response, abort, request
from flask.testing import FlaskClient
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import (
    HTTPException,
    RequestedRangeNotSatisfiable,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    default_exceptions,
)
from werkzeug.test import TestResponse

from flask_ops.core.context import RequestContext, current_request
from flask_ops.core.problem import CONTENT_TYPE
from flask_ops.web import problems
from flask_ops.web.problems import ProblemError

ERRORS = sorted(code for code in default_exceptions if code >= 400)
"""Every error that `abort` knows."""


class OddError(HTTPException):
    """An error whose code is not registered."""

    code = 599
    description = "odd"


class Choices(HTTPException):
    """A raised answer that is not an error."""

    code = 300
    description = "there are two"


@pytest.fixture
def client() -> FlaskClient:
    """Return a client of an application whose views fail in each way."""
    app = Flask("sample")
    problems.init_app(app)

    @app.get("/page/")
    def page() -> str:
        return "a page"

    @app.get("/abort/<int:code>")
    def fail(code: int) -> str:
        abort(code)

    @app.get("/text/<int:code>")
    def say(code: int) -> str:
        abort(code, "there is no such item: \N{SNOWMAN}")

    @app.get("/silent")
    def silent() -> str:
        abort(404, "")

    @app.get("/response")
    def answer() -> str:
        abort(Response("an answer of its own", 409, {"X-Own": "yes"}, content_type="text/plain"))

    @app.get("/error-response")
    def error_response() -> str:
        raise ServiceUnavailable(response=Response("in maintenance", 503, content_type="text/plain"))

    @app.get("/busy")
    def busy() -> str:
        raise TooManyRequests(retry_after=7)

    @app.get("/private")
    def private() -> str:
        raise Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "staff"}))

    @app.get("/range")
    def part() -> str:
        raise RequestedRangeNotSatisfiable(length=9)

    @app.get("/odd")
    def odd() -> str:
        raise OddError

    @app.get("/choices")
    def choices() -> str:
        raise Choices

    @app.get("/missing")
    def missing() -> str:
        return request.args["name"]

    @app.get("/boom")
    def boom() -> str:
        raise ValueError("the password is hunter2")

    return app.test_client()


@pytest.fixture
def served() -> Iterator[str]:
    """Serve a request during the test, and return its id."""
    token = current_request.set(RequestContext("request-1"))
    yield "request-1"
    current_request.reset(token)


def problem(response: TestResponse) -> dict[str, Any]:
    """Return the problem in the response; fail if there is none."""
    expected = [CONTENT_TYPE]
    assert expected == response.headers.getlist("Content-Type")
    assert str(len(response.data)) == response.headers["Content-Length"]
    read: dict[str, Any] = response.get_json(force=True)
    assert response.status_code == read["status"]
    return read


@pytest.mark.parametrize("code", ERRORS)
def test_every_http_error_is_a_problem(client: FlaskClient, code: int) -> None:
    """RFC 9457: about:blank, the code's phrase as title, the code, and the known details."""
    response = client.get(f"/abort/{code}")
    described = problem(response)
    expected = {"type": "about:blank", "title": HTTPStatus(code).phrase, "status": code}

    assert code == response.status_code
    assert described.pop("detail")
    assert expected == described


def test_errors_of_every_origin_are_problems(client: FlaskClient) -> None:
    """The router's, Flask's KeyError for a missing parameter, an abort without text, and a code without a phrase."""
    assert "Not Found" == problem(client.get("/no/such/page"))["title"]
    assert 400 == problem(client.get("/missing"))["status"]
    assert "detail" not in problem(client.get("/silent"))
    odd = {"type": "about:blank", "title": "Error", "status": 599, "detail": "odd"}
    assert odd == problem(client.get("/odd"))


def test_a_head_request_gets_the_headers_alone(client: FlaskClient) -> None:
    """HEAD is GET without the body (RFC 9110)."""
    response = client.head("/no/such/page")
    expected = (404, CONTENT_TYPE, b"")

    assert expected == (response.status_code, response.headers["Content-Type"], response.data)


@pytest.mark.parametrize(
    ("method", "path", "status", "header", "expected"),
    [
        ("DELETE", "/busy", 405, "Allow", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/busy", 429, "Retry-After", {"7"}),
        ("GET", "/private", 401, "WWW-Authenticate", {"Basic realm=staff"}),
        ("GET", "/range", 416, "Content-Range", {"bytes */9"}),
    ],
)
def test_the_headers_of_an_error_are_kept(
    client: FlaskClient, method: str, path: str, status: int, header: str, expected: set[str]
) -> None:
    """Clients use these headers: the allowed methods, the time to retry, the way to log in."""
    response = client.open(path, method=method)

    assert status == problem(response)["status"]
    assert expected == {value.strip() for value in response.headers[header].split(",")}


@pytest.mark.parametrize("code", [400, 404, 409, 503])
def test_the_text_of_an_abort_is_the_detail(client: FlaskClient, code: int) -> None:
    """The client gets the application's text."""
    expected = "there is no such item: \N{SNOWMAN}"

    assert expected == problem(client.get(f"/text/{code}"))["detail"]


def test_a_view_adds_members_of_its_own(client: FlaskClient) -> None:
    @client.application.get("/order")
    def order() -> str:
        raise ProblemError(422, "not valid", errors=[{"field": "day", "is": "\ud800", "until": date(2026, 11, 22)}])

    answer = client.get("/order")

    assert (422, CONTENT_TYPE) == (answer.status_code, answer.content_type)
    found = answer.get_json()
    assert [{"field": "day", "is": "\ud800", "until": "2026-11-22"}] == found.pop("errors")
    assert {"type": "about:blank", "title": HTTPStatus(422).phrase, "status": 422, "detail": "not valid"} == found


@pytest.mark.parametrize("path", ["/boom", "/text/500"])
def test_a_500_shows_nothing_of_its_cause(client: FlaskClient, path: str) -> None:
    """It shows neither the exception, nor its text, nor the view. Those belong in the log."""
    response = client.get(path)
    expected = {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The server met an unexpected condition, which its log describes.",
    }

    assert expected == problem(response)


@pytest.mark.parametrize("path", ["/boom", "/busy", "/no/such/page"])
def test_a_problem_says_by_which_id_the_log_knows_it(client: FlaskClient, served: str, path: str) -> None:
    """A user can quote the id."""
    assert served == problem(client.get(path))["request_id"]


def test_a_problem_outside_of_an_observed_request_has_no_id(client: FlaskClient) -> None:
    """A null would look like an id."""
    assert "request_id" not in problem(client.get("/busy"))


@pytest.mark.parametrize(
    ("path", "status", "mimetype", "body"),
    [
        ("/response", 409, "text/plain", b"an answer of its own"),  # abort(response) sends that response
        ("/error-response", 503, "text/plain", b"in maintenance"),
        ("/page", 308, "text/html", None),  # HTTPExceptions below 400 are no errors
        ("/choices", 300, "text/html", None),
        ("/page/", 200, "text/html", b"a page"),
    ],
)
def test_other_answers_are_not_touched(
    client: FlaskClient, path: str, status: int, mimetype: str, body: bytes | None
) -> None:
    response = client.get(path)

    assert (status, mimetype) == (response.status_code, response.mimetype)
    assert body in (None, response.data)
    assert ("yes" if path == "/response" else None) == response.headers.get("X-Own")
    assert ("http://localhost/page/" if path == "/page" else None) == response.headers.get("Location")


def test_two_applications_do_not_meet() -> None:
    """An application without the handlers keeps Flask's own pages."""
    problems.init_app(Flask("with"))
    expected = "text/html"

    assert expected == Flask("without").test_client().get("/").mimetype


def test_the_last_resort_looks_like_flasks_500(client: FlaskClient, served: str) -> None:
    """If Flask itself can no longer answer, the client still gets the same problem."""
    status, headers, body = problems.response(500, served)
    response = client.get("/boom")

    assert status.upper() == response.status.upper()
    assert dict(headers) == dict(response.headers)
    assert body == response.data


@pytest.mark.parametrize(
    ("given", "expected"), [("\ud800", "\\ud800"), (ValueError("bad date"), "bad date"), ({"a": 1}, "{'a': 1}")]
)
def test_whatever_abort_is_given_becomes_text(given: Any, expected: str) -> None:
    """Text of a client, or an exception as description, must not turn a 400 into a 500."""
    app = Flask(__name__)
    problems.init_app(app)

    @app.get("/")
    def view() -> str:
        abort(400, given)

    answer = app.test_client().get("/")
    status = 400
    assert status == answer.status_code
    assert expected == answer.get_json()["detail"]
