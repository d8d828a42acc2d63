"""Lines for people, with Python's tracebacks, and with colours on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any

import structlog

from flask_ops.log.render import render_json

_CONTROLS = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)] if chr(code) not in "\t\n"}


class Console:
    """Renders lines of any length."""

    def __init__(self) -> None:
        self._render = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(),
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,  # the others show local variables
        )

    def __call__(self, line: dict[str, Any], _of_request: Collection[str]) -> bytes:
        """Return the line, its newline included."""
        info = {"exc_info": line.pop("exc_info")} if "exc_info" in line else {}
        for name in ("stack", "exception"):  # the renderer expects text under these names
            if name in line and not isinstance(line[name], str):
                line[f"{name}_"] = line.pop(name)
        try:
            text = self._render(None, "", {**_shown(line), **info})
        except Exception:  # noqa: BLE001 - a value whose repr raises
            text = self._render(None, "", {**_shown(json.loads(render_json(line))), **info})
        return f"{text}\n".encode("utf-8", "backslashreplace")


def _shown(line: dict[str, Any]) -> dict[str, Any]:
    """Escape control characters, so that a client cannot control the reader's terminal."""
    return {
        str(name).translate(_CONTROLS): value.translate(_CONTROLS) if isinstance(value, str) else value
        for name, value in line.items()
    }
