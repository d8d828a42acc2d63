"""WebSockets: the connection of a request that a view takes over from the server, and later ends.

Without this module, each closed WebSocket would be an exception of the application, and the server would send a
response after the close frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import structlog
from werkzeug.exceptions import BadRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_SIGNS = {"gunicorn.socket": StopIteration, "werkzeug.socket": ConnectionError}
"""The exception by which a library asks the server to send nothing, by the key of the socket in the environment."""

_CANNOT = {"waitress.client_disconnected": "Waitress", "uwsgi.version": "uWSGI"}
"""The servers that do not give their connection to a view, by a key of the environment that is always there."""
_log = structlog.stdlib.get_logger(__name__)


class UnsupportedError(BadRequest):
    """The client asks for a WebSocket, and the server cannot do it (RFC 6455, section 4.2.2, item 4)."""

    description = "This server does not support WebSockets."


def unsupported(environ: WSGIEnvironment) -> UnsupportedError | None:
    """Return the error for a client of a server that cannot do WebSockets, else None. Log it once per process."""
    server = next((name for key, name in _CANNOT.items() if key in environ), None)
    if server is None:
        return None
    _report(server)
    return UnsupportedError()


@cache
def _report(server: str) -> None:
    hint = "serve the application with Gunicorn"
    _log.warning("this server does not support WebSockets", server=server, hint=hint)


def is_asked_for(environ: WSGIEnvironment) -> bool:
    """Tell whether the client asks for a WebSocket (RFC 6455, section 4.2.1)."""
    upgrade: str = environ.get("HTTP_UPGRADE", "")
    return upgrade.lower() == "websocket"


def has_ended(error: BaseException, environ: WSGIEnvironment) -> bool:
    """Tell whether ``error`` is the sign of a library that it has served and closed the connection."""
    return any(key in environ and isinstance(error, sign) for key, sign in _SIGNS.items())


def is_after_close(status: int, headers: Sequence[tuple[str, str]], environ: WSGIEnvironment) -> bool:
    """Tell whether this is the empty 200 that flask-sock starts under the development server after a WebSocket."""
    return status == 200 and ("Content-Length", "0") in headers and "werkzeug.socket" in environ
