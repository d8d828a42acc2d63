"""The state of this process that ``log.configure`` changes. Tests restore it, so that none affects the next one."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator

import structlog

from flask_ops.log import levels, sink
from flask_ops.log.ownership import OWNERSHIP


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Undo all changes of ``log.configure`` at the end of the block."""
    root = logging.getLogger()
    level, factory = levels.configured(root), logging.getLogRecordFactory()
    ownership = {**vars(OWNERSHIP)}
    OWNERSHIP.replaced = {}
    takes_warnings = _takes_warnings()
    configuration = structlog.get_config() if structlog.is_configured() else None
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    describe = sink.describe_drops(bytes)
    sink.describe_drops(describe)
    try:
        yield
    finally:
        for logger, handlers in OWNERSHIP.replaced.items():
            logger.handlers = handlers
        if OWNERSHIP.handler is not None:
            root.removeHandler(OWNERSHIP.handler)
        vars(OWNERSHIP).update(ownership)
        if OWNERSHIP.handler is not None:
            root.addHandler(OWNERSHIP.handler)
        levels.configure(root, level)
        logging.setLogRecordFactory(factory)
        if _takes_warnings() and not takes_warnings:
            logging.captureWarnings(False)
        structlog.reset_defaults()
        if configuration is not None:
            structlog.configure(**configuration)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        sink.describe_drops(describe)


def _takes_warnings() -> bool:
    return getattr(logging, "_warnings_showwarning", None) is not None  # set by captureWarnings()
