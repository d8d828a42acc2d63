"""The log lines of a test, parsed from the bytes that are written."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from flask_ops import log
from flask_ops.core.settings import LogFormat, Settings
from flask_ops.log import levels, process_state, sink
from flask_ops.log.line import Lines

_EVENT = {LogFormat.JSON: "event", LogFormat.ECS: "message"}
"""The field that holds the event, by format."""


class LogLines:
    """Finds log lines of this test: ``log_lines("request", route="/")``.

    ``log_lines()`` returns all of them, in their order.
    """

    def __init__(self, settings: Settings, written: list[bytes]) -> None:
        self._event = _EVENT[settings.log_format]
        self._level = logging.getLevelNamesMapping()[settings.log_level.upper()]
        self._written = written

    def __call__(self, event: str | None = None, /, **fields: Any) -> list[dict[str, Any]]:
        """Return the lines with this event and these values of fields, each as a dict."""
        wanted = fields if event is None else {**fields, self._event: event}
        lines = [json.loads(line) for line in list(self._written)]
        return [line for line in lines if wanted.items() <= line.items()]

    def set_level(self) -> None:
        """Apply the log level of the settings."""
        levels.configure(logging.getLogger(), self._level)


@contextlib.contextmanager
def captured(settings: Settings) -> Iterator[LogLines]:
    """Log as in production during the block, and keep the lines. Fail the test if they are not JSON."""
    if settings.log_format not in _EVENT:
        pytest.fail(
            f"log_lines reads JSON, and SERVICE_LOG_FORMAT is {str(settings.log_format)!r}. "
            "Make the application of your tests with SERVICE_ENV=testing or SERVICE_LOG_FORMAT=json.",
            pytrace=False,
        )
    written: list[bytes] = []
    lines = Lines(settings)
    with process_state.preserved(), sink.copied(written.append):
        log.handle_records(lines, settings)
        if not structlog.is_configured():  # otherwise the application did: its events reach logging
            log.configure_structlog(lines, caches_loggers=False)
        yield LogLines(settings, written)
