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


Names = dict[str, list[ast.expr]]
"""Each name of a module, with all values that it gets."""


def names(tree: ast.AST) -> Names:
    """Return the names that assignments give a value, also as parts of tuples."""
    found: Names = {}
    for node in ast.walk(tree):
        for target in node.targets if isinstance(node, ast.Assign) else []:
            assert isinstance(node, ast.Assign)
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = [*zip(target.elts, node.value.elts, strict=True)]
            for name, value in pairs:
                found.setdefault(ast.unparse(name), []).append(value)
    return found


def constants(node: ast.expr, values: Names) -> Iterator[str]:
    """Yield the texts that an expression can be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from constants(node.body, values)
        yield from constants(node.orelse, values)
    elif isinstance(node, ast.Name):
        for value in values.get(node.id, []):
            yield from constants(value, values)


def events(name: str, text: str) -> Iterator[str]:
    """Yield the events that a module logs. A call whose event is computed fails the test."""
    tree = ast.parse(text)
    values = names(tree)
    helpers = HELPERS.get(name, {})
    for node in ast.walk(tree):
        if helpers and isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):  # for a function that logs
            yield from constants(node.value.elts[0], values)
        if not isinstance(node, ast.Call):
            continue
        called = values.get(ast.unparse(node.func), [node.func])
        methods = [each for one in called for each in ([one.body, one.orelse] if isinstance(one, ast.IfExp) else [one])]
        place = helpers.get(ast.unparse(node.func))
        if any(map(is_method_of_log, methods)):
            place = 0
        elif any(isinstance(each, ast.Attribute) and each.attr == "make_trusted" for each in methods):
            place = 1
        if place is not None and len(node.args) > place:
            found = [*constants(node.args[place], values)]
            assert found or (helpers and ast.unparse(node.args[place]) == "event"), f"{name}: {ast.unparse(node)}"
            yield from found


def test_it_finds_events_in_each_form() -> None:
    text = 'tell = _log.info if a else _log.error\ntell("one")\nevent = "two" if a else "three"\n_log.warning(event)\n'
    pair = 'event, hint = "four", CURE\nlogger.critical(event, hint=hint)\n'

    assert ["one", "two", "three"] == list(events("any.py", text))
    assert ["four"] == list(events("any.py", pair))


def test_the_page_has_each_event_of_the_library() -> None:
    page = (REPOSITORY / "docs" / "events.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \(([\w, ]+)\) \| \S.* \| \S.* \|$", page, re.MULTILINE)
    logged = {event for path in SOURCES for event in events(path.name, path.read_text())}

    assert logged == {event for event, _ in rows}
    assert len(rows) == len({event for event, _ in rows})
    assert {level for _, levels in rows for level in levels.split(", ")} <= LEVELS
