"""The state of this process that ``log.configure`` changes. Tests restore it, so that none affects the next one."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator

import structlog

from flask_ops.log import levels, sink
from flask_ops.log.handler import LineHandler


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Undo all changes of ``log.configure`` at the end of the block."""
    root = logging.getLogger()
    handlers, level, factory = _line_handlers(root), levels.configured(root), logging.getLogRecordFactory()
    takes_warnings = _takes_warnings()
    configuration = structlog.get_config() if structlog.is_configured() else None
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    describe = sink.describe_drops(bytes)
    sink.describe_drops(describe)
    try:
        yield
    finally:
        for handler in _line_handlers(root):
            if handler not in handlers:
                root.removeHandler(handler)
        for handler in handlers:
            root.addHandler(handler)  # no effect if it is still there
        levels.configure(root, level)
        logging.setLogRecordFactory(factory)
        if _takes_warnings() and not takes_warnings:
            logging.captureWarnings(False)
        structlog.reset_defaults()
        if configuration is not None:
            structlog.configure(**configuration)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        sink.describe_drops(describe)


def _line_handlers(root: logging.Logger) -> list[logging.Handler]:
    """Return our own handlers. The owners of others, such as pytest, add and remove them."""
    return [handler for handler in root.handlers if isinstance(handler, LineHandler)]


def _takes_warnings() -> bool:
    return getattr(logging, "_warnings_showwarning", None) is not None  # set by captureWarnings()
