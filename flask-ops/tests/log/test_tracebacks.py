from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from structlog.typing import ExcInfo

from flask_ops.log.render import render_json
from flask_ops.log.tracebacks import as_text, structured

SECRET = "hunter2"


class UnspeakableError(Exception):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no str")


class HostileError(Exception):
    """An exception whose notes are invalid."""

    __notes__ = 7  # type: ignore[assignment] # wrong on purpose


def caught(error: BaseException, cause: BaseException | None = None) -> ExcInfo:
    password = SECRET
    try:
        if cause is not None:
            try:
                raise cause
            except BaseException as raised:
                raise error from raised
        raise error
    except BaseException:  # noqa: BLE001 - made for this
        info = sys.exc_info()
        assert info[0] is not None
        assert password
        return info


def seen(error: BaseException, cause: BaseException | None = None) -> list[dict[str, Any]]:
    """Return the exception as a reader of the log gets it."""
    found: list[dict[str, Any]] = json.loads(render_json(structured(caught(error, cause))))
    return found


def test_frames_have_file_line_and_function_and_no_local_variables() -> None:
    (exception,) = seen(ValueError("wrong"))
    (frame,) = exception["frames"]

    assert ("ValueError", "wrong", False) == tuple(exception[name] for name in ("exc_type", "exc_value", "is_cause"))
    assert (__file__, "caught") == (frame["filename"], frame["name"])
    assert {"filename", "lineno", "name"} == frame.keys()


def test_causes_and_members_of_groups_follow() -> None:
    inner = ExceptionGroup("inner", [KeyError("deep")])
    inner.add_note("a note")
    group, cause = seen(ExceptionGroup("outer", [ValueError("one"), inner]), KeyError("before"))
    ((one,), (two,)) = group["exceptions"]

    assert [("outer (2 sub-exceptions)", False), ("'before'", True)] == [
        (each["exc_value"], each["is_cause"]) for each in (group, cause)
    ]
    assert (True, "one", ["a note"]) == (group["is_group"], one["exc_value"], two["exc_notes"])
    assert "'deep'" == two["exceptions"][0][0]["exc_value"]


def test_a_cause_that_was_never_raised_follows_too() -> None:
    try:
        raise KeyError("outer") from ValueError("the reason")
    except KeyError as error:
        outer, cause = structured((type(error), error, error.__traceback__))

    assert (outer["exc_type"], cause["exc_type"], cause["exc_value"]) == ("KeyError", "ValueError", "the reason")
    assert (cause["is_cause"], cause["frames"]) == (True, [])


def test_of_a_recursion_the_first_and_the_last_frames_stay() -> None:
    def sink_to(depth: int) -> None:
        if not depth:
            raise ValueError("at the bottom")
        sink_to(depth - 1)

    with pytest.raises(ValueError, match="bottom") as raised:
        sink_to(200)
    (exception,) = structured((ValueError, raised.value, raised.tb))
    names = [frame["name"] for frame in exception["frames"]]

    assert "test_of_a_recursion_the_first_and_the_last_frames_stay" == names[0]
    assert (51, "Skipped frames: 152", "sink_to") == (len(names), names[25], names[-1])


def test_a_syntax_error_says_where() -> None:
    with pytest.raises(SyntaxError) as raised:
        compile("def f(:", "x.py", "exec")
    (exception,) = seen(raised.value)

    assert ("x.py", 1, "def f(:\n") == tuple(exception["syntax_error"][name] for name in ("filename", "lineno", "line"))


def test_no_exception_stops_the_log() -> None:
    for error in (UnspeakableError(), HostileError("x"), ExceptionGroup("g", [UnspeakableError()]), SystemExit(1)):
        assert type(error).__name__ == seen(error)[0]["exc_type"]
        assert type(error).__name__ == as_text(caught(error))["type"]


def test_an_exception_that_is_its_own_cause_ends() -> None:
    error = ValueError("ring")
    error.__cause__ = error

    assert 1 == len(structured((ValueError, error, None)))
    assert "ring" == as_text((ValueError, error, None))["message"]


def test_as_text_it_is_what_python_prints() -> None:
    text = as_text(caught(ValueError("after"), KeyError("before")))

    assert ("ValueError", "after") == (text["type"], text["message"])
    assert text["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert text["stack_trace"].endswith("\nValueError: after\n")
    assert "KeyError: 'before'" in text["stack_trace"]
    assert SECRET not in text["stack_trace"]
