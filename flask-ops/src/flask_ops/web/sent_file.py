"""Watch a file that the server sends by itself, with sendfile, past the application."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class SentFile:
    """A response that is a file. Wrapped in anything else, the server would have to copy it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._start = file.tell()
        file.seek(0, io.SEEK_END)
        self._size = file.tell() - self._start
        file.seek(self._start)

    @classmethod
    def of(cls, response: Iterable[bytes], environ: WSGIEnvironment, on_close: Callable[[], None]) -> SentFile | None:
        """Recognise the server's ``wsgi.file_wrapper`` and have it call ``on_close`` in place of its own.

        None where ``response`` is an ordinary iterable, or one that cannot be watched.
        """
        if isinstance(response, ClosingIterator):  # Werkzeug's, around what is no file; a cheap test for most of them
            return None
        wrapper = environ.get("wsgi.file_wrapper")
        if not (isinstance(wrapper, type) and isinstance(response, wrapper)) and not isinstance(response, io.IOBase):
            return None
        file: Any = response
        for attribute in ("filelike", "file"):  # Gunicorn's and Waitress's wrapper; uWSGI's is the file itself
            file = getattr(response, attribute, file)
        try:
            sent = cls(file)
            response.close = on_close  # type: ignore[attr-defined] # an instance attribute, in all three
        except (AttributeError, OSError, ValueError):  # a pipe, say, has no size
            return None
        return sent

    def sent(self, error: BaseException | None) -> tuple[int, bool]:
        """Return how many bytes the server has read to send, and whether those are all.

        ``error`` is what the server met while it was sending. Gunicorn rewinds a file that went
        out whole; a file that stands in its middle did not. uWSGI leaves the position alone and
        tells nothing: there, every file counts as sent.
        """
        position = self._file.tell() - self._start
        if error is None and position in {0, self._size}:
            return self._size, True
        return position, False
