"""The observation of a file that the server sends directly, with sendfile."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class SentFile:
    """A file as response. It must not be wrapped, because the server could then not use sendfile."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._start = file.tell()
        file.seek(0, io.SEEK_END)
        self._size = file.tell() - self._start
        file.seek(self._start)

    @classmethod
    def of(cls, response: Iterable[bytes], environ: WSGIEnvironment, on_close: Callable[[], None]) -> SentFile | None:
        """Recognise the server's ``wsgi.file_wrapper``, or a file, and replace its ``close`` with ``on_close``.

        Return None for an ordinary iterable, and for a file that cannot be observed.
        """
        if isinstance(response, ClosingIterator):  # Werkzeug's, never around a file; a fast exit for most responses
            return None
        wrapper = environ.get("wsgi.file_wrapper")
        if not (isinstance(wrapper, type) and isinstance(response, wrapper)) and not isinstance(response, io.IOBase):
            return None
        file: Any = response
        for attribute in ("filelike", "file"):  # in the wrappers of Gunicorn and Waitress; uWSGI's is the file
            file = getattr(response, attribute, file)
        try:
            sent = cls(file)
            response.close = on_close  # type: ignore[attr-defined] # an instance attribute in all three
        except (AttributeError, OSError, ValueError):  # a pipe, for example, has no size
            return None
        return sent

    def sent(self, error: BaseException | None) -> tuple[int, bool]:
        """Return how many bytes the server has read to send, and whether the file is complete.

        ``error`` is the server's exception, if any. Gunicorn rewinds a file that it sent completely. A position in
        the middle means an incomplete file. uWSGI never moves the position, so every file counts as complete.
        """
        position = self._file.tell() - self._start
        if error is None and position in {0, self._size}:
            return self._size, True
        return position, False
