"""The handler that turns each record into a line. Even a broken log call does not raise."""

from __future__ import annotations

import contextlib
import logging

from flask_ops.core.context import ends_the_process
from flask_ops.log import records, sink
from flask_ops.log.line import Lines


class LineHandler(logging.Handler):
    """Writes the line of each record that passes its filters."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the line of ``record``. Needs no lock, because the sink has its own."""
        try:
            passes: object = self.filter(record)
            if passes:
                # Since Python 3.12 a filter may return another record.
                kept = passes if isinstance(passes, logging.LogRecord) else record
                sink.write_line(self._lines.make(records.fields(kept, self._lines.mask)))
        except BaseException as error:
            if ends_the_process(error):
                raise
            # A foreign class may raise anything. A broken log call must not break the request.
            self._write_the_rest(record, error)
            return True
        return bool(passes)

    def _write_the_rest(self, record: logging.LogRecord, error: BaseException) -> None:
        try:
            line = self._lines.make(records.fewest_fields(record, error))
        except Exception as again:  # noqa: BLE001 - as above, for example in a value bound to the context
            # If even this overflows the stack, the caller's next call raises RecursionError anyway.
            with contextlib.suppress(RecursionError):
                sink.write_line(self._lines.make_bare("error", records.not_formatted(record, again)))
        else:
            sink.write_line(line)
