"""One request and its response, watched from its first byte to its last one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from threading import get_ident
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import structlog

from flask_ops.core.context import RequestContext, current_request
from flask_ops.core.leaving import ends_the_process
from flask_ops.log import ReportedError, printed_text
from flask_ops.metrics.requests import UNMATCHED
from flask_ops.web import problems
from flask_ops.web.sent_file import SentFile
from flask_ops.web.signals import EXCHANGE

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CLIENT_CLOSED_REQUEST = 499
"""The status of a response that the client did not wait for; nginx's code, for there is no standard one."""

_NOTHING: Iterator[Any] = iter(())
_log = structlog.stdlib.get_logger(__name__)


class EscapedError(RuntimeError):
    """The application raised an exception that would end the worker, such as SystemExit."""


class Exchange:
    """The response that the server iterates over and closes; it is recorded once."""

    # On the class, because each assignment in __init__ would cost each request.
    route = UNMATCHED
    status = 500
    status_sent = 0
    size = 0
    """Of the body, in bytes, as far as it was sent."""
    outcome = ""
    raised = False
    """The application had an unhandled exception, which may have become a response."""
    answers_errors: Callable[[], bool] = staticmethod(lambda: False)
    """Tells whether an exception is answered here. Else it goes on to the server, as it would without this."""
    timed_out = False
    """It ran for longer than SERVICE_REQUEST_TIMEOUT, and was reported for it."""
    _close_response: Callable[[], object] | None = None
    _file: SentFile | None = None
    _began = False
    _ended = False
    is_reported = False
    """Its line was written, or the thread that set this while it held ``ending`` is about to write it."""

    def __init__(
        self,
        app: WSGIApplication,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        *,
        ending: AbstractContextManager[bool],
        record: Callable[[Exchange, float], None],
    ) -> None:
        self.started = perf_counter()
        self.context = copy_context()
        self.environ = environ
        self.ids = RequestContext.from_environ(environ)
        self.thread = get_ident()
        self._app, self._ending, self._record = app, ending, record
        self._server_start_response = start_response
        self._chunks: Iterator[bytes] = _NOTHING

    def respond(self) -> Iterable[bytes]:
        """Call the application; return the response for the server to send."""
        current_request.set(self.ids)
        self.environ[EXCHANGE] = self
        try:
            response = self._app(self.environ, self._start_response)
        except BaseException as error:  # noqa: BLE001 - nothing may leave unreported; most is raised again
            self._fail(error)
            if self._must_raise(error):
                self.status_sent = self.status  # by the server, which answers it
                self._report()
                self._raise(error)
            response = [self._replace(error)]
        self._close_response = getattr(response, "close", None)
        self._file = SentFile.of(response, self.environ, self.close)
        if self._file is not None:
            return response
        self._chunks = iter(response)
        return self

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.status = self.status_sent = int(status[:3])
        for name, value in headers:
            if not value.isascii():
                value.encode("latin-1")  # raises for what no server can send, while a 500 still can be sent
            if len(name) == 12 and name.lower() == "x-request-id":  # a view passes on another service's answer
                headers = [header for header in headers if header[0].lower() != "x-request-id"]
        headers = [*headers, ("X-Request-ID", self.ids.request_id)]
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
        except BaseException as error:  # noqa: BLE001 - nothing may leave unreported; it is raised again there
            chunk = self.context.run(self._failed_chunk, error)
        if self.is_reported:  # as aborted, from another thread: nothing is sent any more that says otherwise
            raise ReportedError("the process is ending")
        self._began = True
        self.size += len(chunk)
        return chunk

    def _failed_chunk(self, error: BaseException) -> bytes:
        self._fail(error)
        if self._must_raise(error):
            self._raise(error)
        if self._began:  # too late for another status: the server has to break the connection off
            raise ReportedError("the response broke off") from error
        self._chunks = _NOTHING
        return self._replace(error)

    def close(self) -> None:
        """End the request. Servers call this whatever has happened; Waitress, for some files, three times."""
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
            if not self._ended and not self.outcome:
                self._interrupted(error)
            self._report()

    def _interrupted(self, error: BaseException | None) -> None:
        if isinstance(error, (TypeError, ValueError, AssertionError)):  # the server could not send such a chunk
            self.status, self.outcome = 500, "exception"
        else:
            self.status, self.outcome = CLIENT_CLOSED_REQUEST, "client_disconnected"

    def abort(self) -> None:
        """Report the request, from another thread that has set ``is_reported``: its process is about to be killed."""
        self.status, self.outcome = 500, "aborted"
        context = Context()
        context.run(current_request.set, self.ids)
        context.run(self._tell)

    def note_route(self, rule: str) -> None:
        """Note the URL rule that Flask has found: the first one, if a view calls another application."""
        if self.route is UNMATCHED:
            self.route = self.ids.route = rule

    def _fail(self, error: BaseException) -> None:
        self.status = 500
        if ends_the_process(error):
            self.outcome = "aborted"
        else:
            self.outcome = "exception"
            if self.answers_errors():  # else the server, the debugger or the test shows it
                _log.error("unhandled exception", exc_info=error)

    def _must_raise(self, error: BaseException) -> bool:
        return not self.answers_errors() or ends_the_process(error)

    def _raise(self, error: BaseException) -> NoReturn:
        if isinstance(error, Exception) or ends_the_process(error):
            raise error
        raise EscapedError(f"{type(error).__name__} was raised while a request was served") from error

    def _replace(self, error: BaseException) -> bytes:
        """Answer with a 500, of which nothing has been sent yet; return its body."""
        status, headers, body = problems.internal_server_error(self.ids.request_id)
        # PEP 3333 has the server replace the headers of an earlier call. Gunicorn appends to them.
        response = getattr(self._server_start_response, "__self__", None)
        headers_so_far = getattr(response, "headers", None)
        if isinstance(headers_so_far, list):
            headers_so_far.clear()
        # uWSGI takes the headers of the last call but stumbles over the exception that PEP 3333 adds.
        exc_info = None if "uwsgi.version" in self.environ else (type(error), error, error.__traceback__)
        self._start_response(status, headers, exc_info)
        return b"" if self.environ["REQUEST_METHOD"] == "HEAD" else body

    def _report(self) -> None:
        with self._ending:
            if self.is_reported:
                return
            self.is_reported = True
        if printed_text.unfinished:
            printed_text.end_mine()
        if self.raised:
            self.outcome = "exception"
        self._tell()

    def _tell(self) -> None:
        self._record(self, perf_counter() - self.started)
