from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_ops.log.masking import Mask
from flask_ops.log.render import render_json
from flask_ops.log.shortening import render_line
from tests.fuzzing import TEXT, VALUES, fuzzed

LIMIT = 4096
BEGIN = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "error", "event": "failed", "service": "shop"}


def shortened(fields: dict[str, Any], limit: int = LIMIT) -> dict[str, Any]:
    """Return the line, read as JSON."""
    line = render_line(fields, limit)
    assert len(line) <= limit
    assert line.endswith(b"}\n")
    assert 1 == line.count(b"\n")
    read: dict[str, Any] = json.loads(line)
    return read


def stack(frames: int, message: str = "wrong", **more: Any) -> dict[str, Any]:
    """Return one exception in the form of ``flask_ops.log.tracebacks``."""
    each = [
        {"filename": f"/srv/app/package/module_{n}.py", "lineno": n, "name": f"function_{n}"} for n in range(frames)
    ]
    return {"exc_type": "ValueError", "exc_value": message, "is_cause": False, "frames": each, **more}


def test_a_line_may_have_exactly_the_limit() -> None:
    fields = {**BEGIN, "body": ""}
    fields["body"] = "x" * (LIMIT - len(render_json(fields)) - 1)

    assert LIMIT == len(render_line(fields, LIMIT))
    assert render_json(fields) + b"\n" == render_line(fields, LIMIT)
    assert ["body"] == shortened({**fields, "body": fields["body"] + "x"})["shortened"]


def test_the_longest_fields_are_cut_and_named() -> None:
    others = {**BEGIN, "note": "n" * 500, "labels": {"a": 1, "b": ["two"] * 10}, "number": 1.5, "request_id": "r1"}
    line = shortened({**others, "body": "x" * 1_000_000, "list": ["o"] * 5000, "big": 10**4200})

    assert ["body", "list", "big"] == line["shortened"]
    assert "xxx" == line["body"].rstrip(".")[:3]
    assert line["body"].endswith("...")
    assert {"o"} == set(line["list"])
    assert others == {name: line[name] for name in others}


def test_most_of_the_room_is_used() -> None:
    assert len(render_line({**BEGIN, "body": "x" * 10**6}, LIMIT)) > 0.9 * LIMIT
    assert len(render_line({**BEGIN, "body": "x" * 10**6, "more": '"' * 10**6}, LIMIT)) > 0.6 * LIMIT


def test_characters_count_as_they_are_written() -> None:
    """One such character can take six bytes in JSON."""
    for character in ["\x00", '"', "\N{SNOWMAN}", "\N{PILE OF POO}", "\ud800", "\\"]:
        line = shortened({**BEGIN, "body": "a" + character * 10_000})

        assert ["body"] == line["shortened"]
        assert line["body"].startswith("a")


def test_the_last_frames_of_an_exception_survive() -> None:
    for frames in (60, 1000):
        line = shortened({**BEGIN, "exception": [stack(frames)], "body": "x" * 10_000})
        (exception,) = line["exception"]

        assert ["exception", "body"] == line["shortened"]
        assert ("ValueError", "wrong") == (exception["exc_type"], exception["exc_value"])
        assert exception["frames"] == stack(frames)["frames"][-len(exception["frames"]) :]
        assert len(exception["frames"]) >= 3


def test_of_many_exceptions_the_first_ones_survive() -> None:
    chain = [stack(30, f"number {n}" + "x" * 10_000, exc_notes=["n" * 10_000]) for n in range(100)]
    members = [[stack(20, f"member {n}")] for n in range(50)]
    group = [stack(20, "group", is_group=True, exceptions=members)]
    first = shortened({**BEGIN, "exception": chain})["exception"][0]
    (several,) = shortened({**BEGIN, "exception": group})["exception"]

    assert first["exc_value"].startswith("number 0xxx")
    assert "function_29" == first["frames"][-1]["name"]
    assert ("group", "member 0") == (several["exc_value"], several["exceptions"][0][0]["exc_value"])


def test_of_a_traceback_in_text_the_end_survives() -> None:
    text = "Traceback\n" + "  File ...\n" * 1000 + "ValueError: wrong"
    for name in ("error.stack_trace", "traceback"):
        line = shortened({**BEGIN, name: text})

        assert line[name].startswith("...")
        assert line[name].endswith("ValueError: wrong")


def test_of_too_many_fields_the_first_ones_are_kept() -> None:
    line = shortened({**BEGIN, **{f"field_{n}": "x" * 20 for n in range(1000)}})

    assert BEGIN == {name: line[name] for name in BEGIN}
    assert "x" * 20 == line["field_0"]
    assert 1004 == len(line) - 2 + line["fields_left_out"]


def test_names_are_cut_too() -> None:
    line = shortened({**BEGIN, "k" * 10_000: 1, "l" * 10_000: {"m" * 10_000: "n" * 10_000}})

    assert BEGIN == {name: line[name] for name in BEGIN}
    assert 1 == line[next(name for name in line if name.startswith("kkk"))]


def test_what_only_looks_like_an_exception_is_cut_like_all_else() -> None:
    frames = [{"frames": None}, 7] * 2000, [{"frames": [{"a": 1}] * 2000}], [{"frames": 7, "a": "x" * 5000}]
    for value in ([1] * 5000, *frames, "x" * 5000, {"a": "x" * 5000}):
        assert "failed" == shortened({**BEGIN, "exception": value})["event"]


@fuzzed
@given(st.dictionaries(TEXT, VALUES, max_size=8), st.integers(1024, 5000))
@pytest.mark.system
def test_every_line_is_valid_and_short_enough(fields: dict[str, Any], limit: int) -> None:
    line = shortened({**BEGIN, **Mask().fields(fields)}, limit)

    assert line.keys() >= BEGIN.keys()
