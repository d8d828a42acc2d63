"""One request and its response, observed from the first byte to the last."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import Context, copy_context
from enum import StrEnum
from threading import get_ident
from time import perf_counter
from typing import TYPE_CHECKING, Any

import structlog

from flask_ops.core.context import RequestContext, current_request, ends_the_process
from flask_ops.log import ReportedError, printed_lines
from flask_ops.metrics.requests import UNMATCHED
from flask_ops.web import admission, problems, replacement, websocket
from flask_ops.web.flask_events import EXCHANGE
from flask_ops.web.request_body import InterruptedBodyError, MalformedBodyError, RequestBody
from flask_ops.web.sent_file import SentFile

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SWITCHING_PROTOCOLS = 101
CLIENT_CLOSED_REQUEST = 499
"""The status of a response that the client did not wait for. nginx's code, because no standard one exists."""

_CLIENT_FAULTS = (InterruptedBodyError, MalformedBodyError, websocket.UnsupportedError)
"""Exceptions that are answered with a 400, and are none of the application."""
_NOTHING: Iterator[Any] = iter(())
_log = structlog.stdlib.get_logger(__name__)


class Outcome(StrEnum):
    """How a request ended: the values of the field ``outcome``, which a complete response does not have."""

    COMPLETE = ""
    EXCEPTION = "exception"
    """The application raised an exception that no handler took."""
    CLIENT_DISCONNECTED = "client_disconnected"
    """The client left before the last byte."""
    ABORTED = "aborted"
    """The process ended before the response."""
    SHED = "shed"
    """It was refused, because it had waited too long for a thread."""


class EscapedError(RuntimeError):
    """The application raised an exception that would end the worker, such as SystemExit."""


class Exchange:
    """The response that the server iterates over and closes. It is recorded once."""

    # On the class, because each assignment in __init__ costs time in each request.
    route = UNMATCHED
    is_websocket_route = False
    status = 500
    status_sent = 0
    size = 0
    """Bytes of the body sent so far."""
    outcome = Outcome.COMPLETE
    raised = False
    """The application had an unhandled exception, even if Flask made a response of it."""
    answers_errors: Callable[[], bool] = staticmethod(lambda: False)
    """Tells whether to answer an exception here. Otherwise it goes on to the server."""
    queued: float | None = None
    """Seconds that the request waited for a thread; None if that is not known."""
    is_refused = False
    """It is answered without the application, because it waited too long."""
    timed_out = False
    """It was reported because it ran longer than SERVICE_REQUEST_TIMEOUT."""
    _close_response: Callable[[], object] | None = None
    _file: SentFile | None = None
    _began = False
    _ended = False
    is_reported = False
    """Its line is written, or about to be. The thread that writes it sets this while it holds ``ending``."""

    _server_start_response: StartResponse
    _headers: Sequence[tuple[str, str]] = ()

    def __init__(
        self, environ: WSGIEnvironment, ending: AbstractContextManager[bool], record: Callable[[Exchange], None]
    ) -> None:
        self.arrived = perf_counter()
        self.context = copy_context()
        self.environ = environ
        self.ids = RequestContext.from_environ(environ)
        self.thread = get_ident()
        self._ending, self._record = ending, record
        self._chunks: Iterator[bytes] = _NOTHING
        self.body = RequestBody.of(environ)
        environ[EXCHANGE] = self

    def respond(self, app: WSGIApplication, start_response: StartResponse) -> Iterable[bytes]:
        """Call the application. Return the response for the server to send."""
        self._server_start_response = start_response
        current_request.set(self.ids)
        try:
            response = app(self.environ, self._start_response)
        except BaseException as error:  # every exception is reported; most are raised again
            if self.is_websocket:
                if websocket.has_ended(error, self.environ):
                    self.status = self.status_sent = SWITCHING_PROTOCOLS
                    self._report()
                    raise
                if isinstance(error, RuntimeError):  # of simple_websocket, in a middleware such as Flask-SocketIO's
                    error = websocket.unsupported(self.environ) or error
            try:
                response = [self._answer(error)]
            except BaseException:
                self.status_sent = self.status  # the server answers it
                self._report()
                raise
        else:
            if self.body is not None and not self.raised:
                self.body.look_ahead(self.environ)
        self._close_response = getattr(response, "close", None)
        self._file = SentFile.of(response, self.environ, self.close)
        if self._file is not None:
            return response
        self._chunks = iter(response)
        return self

    def refuse(self, _app: WSGIApplication, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request that has waited too long, without the application."""
        self._server_start_response = start_response
        self.outcome = Outcome.SHED
        client = self.environ.get("gunicorn.socket")
        if client is not None and self.body is not None and not self.body.discard(client):
            # Otherwise Gunicorn's thread would wait for the rest, for up to 5 s, to keep the connection.
            start_response.__self__.force_close()  # type: ignore[attr-defined] # a method of Gunicorn's Response
        status, headers, body = problems.response(503, self.ids.request_id)
        self._start_response(status, [*headers, ("Retry-After", admission.retry_after())])
        self._chunks = iter([b"" if self.environ["REQUEST_METHOD"] == "HEAD" else body])
        return self

    @property
    def is_websocket(self) -> bool:
        """True if the client asks for a WebSocket, and gets one if its route is known to Flask.

        A client can send the header to any route. It must not exempt the request from the search for stuck ones.
        """
        return (self.is_websocket_route or self.route is UNMATCHED) and websocket.is_asked_for(self.environ)

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.status = self.status_sent = int(status[:3])
        if self.is_websocket_route and websocket.is_after_close(self.status, headers, self.environ):
            raise ConnectionError  # the development server then sends nothing
        for name, value in headers:
            if not value.isascii():
                value.encode("latin-1")  # servers can send no others; raise while a 500 is possible
            if len(name) == 12 and name.lower() == "x-request-id":  # copied from another service's answer
                headers = [header for header in headers if header[0].lower() != "x-request-id"]
        self._headers = headers = [*headers, ("X-Request-ID", self.ids.request_id)]
        if exc_info is None:
            return self._server_start_response(status, headers)
        return self._server_start_response(status, headers, exc_info)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self.context.run(next, self._chunks)
        except StopIteration:
            self._ended = True
            raise
        except BaseException as error:  # noqa: BLE001 - every exception is reported, and may be raised again there
            self._chunks = _NOTHING
            chunk = self.context.run(self._answer, error)
        if self.is_reported:  # another thread reported it as aborted: send nothing that contradicts its line
            raise ReportedError("the process is ending")
        self._began = True
        self.size += len(chunk)
        return chunk

    def close(self) -> None:
        """End the request. Servers call this in any case. Waitress calls it three times for some files."""
        if not self.is_reported:
            self.context.run(self._close)

    def _close(self) -> None:
        error = sys.exception()
        try:
            if self._file is not None:
                self.size, self._ended = self._file.sent(error)
            if self._close_response is not None:
                self._close_response()
        except Exception as raised:
            self._fail(raised)
            raise ReportedError("the response could not be closed") from raised
        finally:
            if not self._ended and self.outcome is Outcome.COMPLETE:
                if isinstance(error, (TypeError, ValueError, AssertionError)):  # the server could not send the chunk
                    self.status, self.outcome = 500, Outcome.EXCEPTION
                else:
                    self.status, self.outcome = CLIENT_CLOSED_REQUEST, Outcome.CLIENT_DISCONNECTED
            self._report()

    def abort(self) -> None:
        """Report the request as aborted, from the thread that set ``is_reported``. The process is about to end."""
        self.status, self.outcome = 500, Outcome.ABORTED
        context = Context()  # the serving thread is inside of self.context, which cannot be entered twice
        context.run(current_request.set, self.ids)
        context.run(self._record, self)

    def note_route(self, rule: str, *, is_websocket: bool) -> None:
        """Note the URL rule that Flask found. The first one counts, if a view calls another application."""
        if self.route is UNMATCHED:
            self.route = self.ids.route = rule
            self.is_websocket_route = is_websocket

    def _fail(self, error: BaseException) -> None:
        self.status = 500
        if ends_the_process(error):
            self.outcome = Outcome.ABORTED
        elif isinstance(error, _CLIENT_FAULTS):
            self.status = 400
        else:
            self.outcome = Outcome.EXCEPTION
            if self.answers_errors():  # otherwise the server, the debugger or the test shows it
                _log.error("unhandled exception", exc_info=error)

    def _answer(self, error: BaseException) -> bytes:
        """Report the exception. Return the body that replaces the response; otherwise raise, and the server ends it."""
        self._fail(error)
        ends_the_worker = ends_the_process(error)
        if not isinstance(error, _CLIENT_FAULTS) and (ends_the_worker or not self.answers_errors()):
            if isinstance(error, Exception) or ends_the_worker:
                raise error
            raise EscapedError(f"{type(error).__name__} was raised while a request was served") from error
        if self._began:  # too late for another status, so the server must close the connection
            raise ReportedError("the response broke off") from error
        return self._replace(error)

    def _replace(self, error: BaseException) -> bytes:
        """Replace the unsent response with a 500, or with a 400 if the client is to blame. Return its body."""
        detail = error.description if isinstance(error, _CLIENT_FAULTS) else None
        status, headers, body = problems.response(self.status, self.ids.request_id, detail)
        headers += replacement.kept(self._headers)
        replacement.forget_headers(self._server_start_response)
        # uWSGI uses the headers of the last call, but fails on the exc_info of PEP 3333.
        exc_info = None if "uwsgi.version" in self.environ else (type(error), error, error.__traceback__)
        self._start_response(status, headers, exc_info)
        return b"" if self.environ["REQUEST_METHOD"] == "HEAD" else body

    def _report(self) -> None:
        with self._ending:
            if self.is_reported:
                return
            self.is_reported = True
        if printed_lines.unfinished:
            printed_lines.end_mine()
        if self.body is not None and self.body.is_interrupted:
            self.outcome = Outcome.CLIENT_DISCONNECTED
            if not 400 <= self.status < 500:
                self.status = CLIENT_CLOSED_REQUEST
        elif self.raised:
            self.outcome = Outcome.EXCEPTION
        self._record(self)
