"""The fields that every log line has, and their rendering in the configured format."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, MutableMapping
from typing import Any

import structlog
from structlog.contextvars import _CONTEXT_VARS

from flask_ops.core.context import current_request, find_request
from flask_ops.core.settings import LogFormat, Settings
from flask_ops.log import ecs, tracebacks
from flask_ops.log.console import Console
from flask_ops.log.masking import Mask
from flask_ops.log.output import PIPE_BYTES, is_file
from flask_ops.log.render import render_json
from flask_ops.log.shortening import render_line

Fields = MutableMapping[str, Any]

_OURS = ("timestamp", "level", "event", "service")


class _Clock:
    """The time as text. The part of each second is made once, which costs a third of ``datetime.isoformat``."""

    def __init__(self) -> None:
        self._second = (0, "")  # replaced as a whole, because threads share it

    def now(self) -> str:
        """Return the time as RFC 3339 in UTC, with microseconds."""
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        known, text = self._second
        if known != seconds:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
            self._second = seconds, text
        return f"{text}.{nanoseconds // 1000:06d}Z"


_clock = _Clock()


class Lines:
    """Makes the lines of one process, in the format of ``SERVICE_LOG_FORMAT``."""

    def __init__(self, settings: Settings) -> None:
        self.mask = Mask(settings.log_mask)
        self._name = settings.name
        # In a pipe, parts of longer lines could mix with the lines of other processes.
        self._limit = settings.log_max_line_bytes if is_file() else min(settings.log_max_line_bytes, PIPE_BYTES)
        self._to_ecs = ecs.mapping(settings) if settings.log_format is LogFormat.ECS else None
        self._console = Console() if settings.log_format is LogFormat.CONSOLE else None
        is_json = settings.log_format is LogFormat.JSON
        self._exceptions = structlog.processors.ExceptionRenderer(
            tracebacks.structured if is_json else tracebacks.as_text
        )

    def make(self, fields: Fields) -> bytes:
        """Return the line with these fields, newline included. ``fields`` must have ``level``, and may have ``event``.

        Adds the ids of the current request and the variables bound to the context, and masks secrets.
        """
        info = fields.pop("exc_info", None)
        event = fields.pop("event", None)
        if type(event) is not str:
            event = _text(self.mask.fields({"event": event})["event"])
        line = self._begin(fields.pop("level"), event)
        for name in _OURS:
            if name in fields:  # a caller's field of this name must not hide ours
                fields[f"{name}_"] = fields.pop(name)
        line.update(self.mask.fields(fields))
        self._add_context(line)
        if info:
            line["exc_info"] = info
            self._exceptions(None, "", line)
        return self._render(line)

    def make_trusted(self, level: str, event: str, fields: dict[str, Any]) -> bytes:
        """Do the same, but faster, for fields that are flat and hold no secret and no exception.

        The fields describe a request (see ``flask_ops.web.observer``), which ``ecs`` gives names of HTTP.
        """
        line = self._begin(level, event)
        line.update(fields)
        self._add_context(line)
        return self._render(line, fields)

    def _begin(self, level: str, event: str) -> dict[str, Any]:
        # These four come first, because readers look there first.
        return {"timestamp": _clock.now(), "level": level, "event": event, "service": self._name}

    def _add_context(self, line: dict[str, Any]) -> None:
        request = current_request.get() or find_request()
        if request is not None:
            request.add_to(line)
        bound = _CONTEXT_VARS and structlog.contextvars.get_contextvars()  # slow: it reads all of the context
        if bound:
            for name, value in self.mask.fields(bound).items():
                line.setdefault(f"{name}_" if name in _OURS else name, value)

    def _render(self, line: dict[str, Any], of_request: Collection[str] = ()) -> bytes:
        if self._console is not None:
            return self._console(line)
        if self._to_ecs is not None:
            line = self._to_ecs(line, of_request)
        return render_line(line, self._limit)


def _text(value: object) -> str:
    """Return the event as text, because every schema requires text. Other types become JSON."""
    rendered = render_json(value).decode()
    return str(json.loads(rendered)) if rendered.startswith('"') else rendered
