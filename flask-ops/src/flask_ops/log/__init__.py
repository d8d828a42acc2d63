"""The log: one formatter renders every line of the process, ours and foreign, to stdout."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

import structlog

from flask_ops.core.settings import Mode, Settings
from flask_ops.log import ownership, sink
from flask_ops.log.handler import BoundLogger, LineHandler, PrepareEvent, Record
from flask_ops.log.line import Lines
from flask_ops.log.printed_lines import log_what_is_printed

_log = structlog.stdlib.get_logger(__name__)


class ReportedError(Exception):
    """Wraps an exception that is already in the log. The server's own line about it is dropped."""


def configure(settings: Settings) -> None:
    """Send every line of this process through one formatter.

    This affects the whole process, as logging does. A second call replaces the setup of the first.
    """
    lines = Lines(settings)
    configure_structlog(lines)
    handle_records(lines, settings)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable
    sink.describe_drops(lambda dropped: lines.make_trusted("warning", "log lines dropped", {"lines": dropped}))


def handle_records(lines: Lines, settings: Settings) -> None:
    """Write the records of all loggers as ``lines``, from the level of ``settings`` up."""

    def make_handler() -> LineHandler:
        handler = LineHandler(lines)
        handler.addFilter(_is_new)
        return handler

    ownership.take(make_handler, logging.getLevelNamesMapping()[settings.log_level.upper()])
    if logging.getLogRecordFactory() is logging.LogRecord:
        logging.setLogRecordFactory(Record)


def configure_structlog(lines: Lines, *, caches_loggers: bool = True) -> None:
    """Send structlog's events through the standard library's loggers.

    A cached logger is faster, but keeps this configuration even after another call.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            PrepareEvent(lines.mask),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=caches_loggers,
    )


def take_printed_lines(settings: Settings) -> None:
    """Write printed lines into the log. A server, for example, prints why it cannot start."""
    if settings.mode is not Mode.DEVELOPMENT:
        log_what_is_printed(Lines(settings))


def serve(settings: Settings) -> None:
    """Prepare the log of a serving process. No request waits for the log's reader, and printed lines are logged."""
    if settings.mode is not Mode.DEVELOPMENT:
        sink.start(settings.log_buffer_bytes)
    take_printed_lines(settings)


def _is_new(record: logging.LogRecord) -> bool:
    return not (isinstance(record.exc_info, tuple) and any(isinstance(each, ReportedError) for each in record.exc_info))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        _log.warning("interrupted")
    elif not issubclass(kind, ReportedError):
        _log.critical("uncaught exception", exc_info=(kind, error, trace))


def _log_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    # Python cannot raise from __del__ or from an atexit function.
    error, text = unraisable.exc_value, unraisable.err_msg or "Exception ignored in"
    _log.error("exception ignored", reason=text, object=unraisable.object, exc_info=error or unraisable.exc_type)


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    # threading ignores SystemExit, too
    if args.exc_value is not None and not isinstance(args.exc_value, (SystemExit, ReportedError)):
        thread = args.thread.name if args.thread else None
        _log.critical("uncaught exception", thread=thread, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
