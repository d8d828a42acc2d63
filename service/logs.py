"""Logging: one formatter renders every line of the process, ours and foreign, to stdout."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog

from service.context import current_request
from service.render import render_json
from service.settings import LogFormat, Settings
from service.sink import write_line

Fields = MutableMapping[str, Any]
_Processor = Callable[[Any, str, Fields], Any]

_log = structlog.stdlib.get_logger(__name__)


class ReportedError(Exception):
    """Carries an exception that is already in the log; a server's own line about it is dropped."""


def configure(settings: Settings) -> None:
    """Send every line of this process through one formatter.

    Process-wide, as logging is; called again, it replaces what the last call set up.
    """
    processors = _processors(settings)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_add_foreign_fields],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
        keep_exc_info=False,
    )
    handler = _LineHandler()
    handler.setFormatter(formatter)
    handler.addFilter(_is_new)
    root = logging.getLogger()
    for other in list(root.handlers):
        if isinstance(other, _LineHandler):
            root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class RequestLog:
    """Writes the line of each finished request, past the layers that it has no use for."""

    def __init__(self, settings: Settings) -> None:
        self._processors = _processors(settings)
        # Not a structlog logger: its level is looked up for each line, at a tenth of the cost.
        self._logger = logging.getLogger("service.request")

    def is_enabled(self, level: int) -> bool:
        """Tell whether a line of this level (``logging.INFO``, ...) would be written."""
        return self._logger.isEnabledFor(level)

    def write(self, level: str, fields: dict[str, Any]) -> None:
        """Write one line; ``level`` is the name of the level, in lower case."""
        line: Any = {"level": level, "event": "request", **fields}
        for process in self._processors:
            line = process(None, level, line)
        write_line(line)


def _processors(settings: Settings) -> list[_Processor]:
    """Return what every line passes through; the last one renders it."""
    if settings.log_format is LogFormat.CONSOLE:
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(),
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,  # the others show local variables
        )
        render: list[_Processor] = [_escape_controls, console]
    else:
        # Frames without local variables: those hold passwords.
        frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, use_rich=False)
        render = [structlog.processors.ExceptionRenderer(frames), render_json]

    def add_common_fields(_logger: Any, _name: str, fields: Fields) -> Fields:
        request = current_request.get()
        if request is not None:
            fields.setdefault("request_id", request.request_id)
            if request.trace_id:
                fields.setdefault("trace_id", request.trace_id)
                fields.setdefault("span_id", request.span_id)
        level, event = fields.pop("level"), fields.pop("event", None)
        for name in ("timestamp", "service"):
            if name in fields:  # a field that somebody has called so must not hide ours
                fields[f"{name}_"] = fields.pop(name)
        # RFC 3339 in UTC. These four stand first, where the eye looks for them.
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {"timestamp": now, "level": level, "event": event, "service": settings.name, **fields}

    return [structlog.contextvars.merge_contextvars, add_common_fields, *render]


_add_extra = structlog.stdlib.ExtraAdder()
_OURS = ("event", "level", "logger", "exc_info", "stack_info", "_record", "_from_structlog")


def _add_foreign_fields(logger: Any, name: str, fields: Fields) -> Fields:
    record: logging.LogRecord = fields["_record"]
    fields["level"] = record.levelname.lower()
    fields["logger"] = record.name
    ours = {key: fields[key] for key in _OURS if key in fields}
    extra = _add_extra(logger, name, fields)
    for key in ("message", "asctime"):  # left in the record by a formatter before ours
        extra.pop(key, None)
    return {**extra, **ours}


_CONTROLS = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)] if chr(code) not in "\t\n"}


def _escape_controls(_logger: Any, _name: str, fields: Fields) -> Fields:
    """Keep a client from writing to the terminal of who reads the log."""
    return {key: value.translate(_CONTROLS) if isinstance(value, str) else value for key, value in fields.items()}


def _is_new(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], ReportedError))


class _LineHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a library's broken log call must not break the request
            record.msg, record.args = f"{record.msg!r} could not be formatted: {type(error).__name__}", ()
            line = self.format(record)
        write_line(line)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if not issubclass(kind, (KeyboardInterrupt, ReportedError)):
        _log.critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    # threading passes over SystemExit, too
    if args.exc_value is not None and not isinstance(args.exc_value, (SystemExit, ReportedError)):
        thread = args.thread.name if args.thread else None
        _log.critical("uncaught exception", thread=thread, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
