"""The state of this process that ``log.configure`` changes, and its restoration."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator

import structlog

from flask_ops.log import levels, sink
from flask_ops.log.handler import LineHandler


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Undo all changes of ``log.configure`` at the end of the block, for tests."""
    with contextlib.ExitStack() as undo:
        for restore in (_logging(), _structlog(), _hooks(), _drops()):
            undo.callback(restore)
        yield


def _logging() -> Callable[[], None]:
    root = logging.getLogger()
    before = _line_handlers(root)
    level, factory = levels.configured(root), logging.getLogRecordFactory()
    takes_warnings = _takes_warnings()

    def restore() -> None:
        for handler in _line_handlers(root):
            if handler not in before:
                root.removeHandler(handler)
        for handler in before:
            root.addHandler(handler)  # no effect if it is still there
        levels.configure(root, level)
        logging.setLogRecordFactory(factory)
        if _takes_warnings() and not takes_warnings:
            logging.captureWarnings(False)

    return restore


def _line_handlers(root: logging.Logger) -> list[logging.Handler]:
    """Return our own handlers. The owners of others, such as pytest, add and remove them."""
    return [handler for handler in root.handlers if isinstance(handler, LineHandler)]


def _takes_warnings() -> bool:
    return getattr(logging, "_warnings_showwarning", None) is not None  # set by captureWarnings()


def _structlog() -> Callable[[], None]:
    before = structlog.get_config() if structlog.is_configured() else None

    def restore() -> None:
        if before is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**before)

    return restore


def _hooks() -> Callable[[], None]:
    uncaught, in_thread, unraisable = sys.excepthook, threading.excepthook, sys.unraisablehook

    def restore() -> None:
        sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, in_thread, unraisable

    return restore


def _drops() -> Callable[[], None]:
    before = sink.describe_drops(bytes)
    sink.describe_drops(before)

    def restore() -> None:
        sink.describe_drops(before)

    return restore
