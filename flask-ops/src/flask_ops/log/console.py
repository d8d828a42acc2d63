"""Lines for people, with Python's tracebacks, and with colours on a terminal."""

from __future__ import annotations

import re
import sys
import textwrap
from typing import Any

import structlog

from flask_ops.log.render import CONTROLS, render_json

_CONTROL = re.compile(f"[\x00-\x08\n-\x1f\x7f{CONTROLS}]")
_QUOTED = re.compile(r"[\s='\"]")
"""Text with one of these has quotes around it."""


class Console:
    """Renders lines of any length. No text of a client can begin a line of its own, or control the terminal.

    The lines of a traceback are indented.
    """

    def __init__(self) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), sort_keys=False)

    def __call__(self, line: dict[str, Any]) -> bytes:
        """Return the line, its newline included."""
        blocks = []
        for name in ("stack", "exception"):  # the renderer would write text under these names as it is
            value = line.pop(name, "")
            text = value.get("stack_trace") if isinstance(value, dict) else value
            if isinstance(text, str):
                blocks += [_indented(text)] if text else []
            else:
                line[f"{name}_"] = value
        level = line.pop("level")  # chooses a colour
        shown = {_escaped(str(name)): _Shown(name, value) for name, value in line.items()}
        text = "\n".join([self._render(None, "", {**shown, "level": level}), *blocks])
        return f"{text}\n".encode("utf-8", "backslashreplace")


class _Shown:
    """A value whose ``repr`` and ``str`` are the text to show."""

    def __init__(self, name: str, value: object) -> None:
        self._text = _escaped(value) if name == "event" and isinstance(value, str) else _shown(value)

    def __repr__(self) -> str:
        return self._text


def _shown(value: object) -> str:
    if isinstance(value, str) and value.isprintable() and not _QUOTED.search(value):
        return str(value)
    try:
        return _escaped(repr(value))
    except Exception:  # noqa: BLE001 - a foreign class may raise anything
        return render_json(value).decode()


def _indented(text: str) -> str:
    return textwrap.indent("\n".join(map(_escaped, text.rstrip("\n").split("\n"))), "    ")


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
