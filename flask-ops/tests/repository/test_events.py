"""The page of the log events has every event of the library, and no other one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import flask_ops
from tests.process import REPOSITORY

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
SOURCES = [path for root in flask_ops.__path__ for path in sorted((REPOSITORY / root).rglob("*.py"))]
HELPERS = {"reload_trial.py": {"_refuse": 0}, "misuses.py": {"_report": 1}}
"""Functions that log: the place of the event in their arguments."""


def is_method_of_log(node: ast.AST) -> bool:
    """Tell whether an expression is like ``_log.warning``."""
    return isinstance(node, ast.Attribute) and node.attr in LEVELS and "log" in ast.unparse(node.value).lower()


def constants(node: ast.expr, values: dict[str, ast.expr]) -> Iterator[str]:
    """Yield the texts that an expression can be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from constants(node.body, values)
        yield from constants(node.orelse, values)
    elif isinstance(node, ast.Name) and node.id in values:
        yield from constants(values[node.id], values)


def events(name: str, text: str) -> Iterator[str]:
    """Yield the events that a module logs."""
    tree = ast.parse(text)
    values = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = values.get(node.func.id, node.func) if isinstance(node.func, ast.Name) else node.func
        methods = [called.body, called.orelse] if isinstance(called, ast.IfExp) else [called]
        place = HELPERS.get(name, {}).get(ast.unparse(node.func))
        if any(map(is_method_of_log, methods)):
            place = 0
        elif isinstance(called, ast.Attribute) and called.attr == "make_trusted":
            place = 1
        if place is not None and len(node.args) > place:
            yield from constants(node.args[place], values)


def test_it_finds_events_in_each_form() -> None:
    text = 'tell = _log.info if a else _log.error\ntell("one")\nevent = "two" if a else "three"\n_log.warning(event)\n'

    assert ["one", "two", "three"] == list(events("any.py", text))


def test_the_page_has_each_event_of_the_library() -> None:
    page = (REPOSITORY / "docs" / "events.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \(([\w, ]+)\) \|", page, re.MULTILINE)
    logged = {event for path in SOURCES for event in events(path.name, path.read_text())}

    assert logged == {event for event, _ in rows}
    assert len(rows) == len({event for event, _ in rows})
    assert {level for _, levels in rows for level in levels.split(", ")} <= LEVELS
