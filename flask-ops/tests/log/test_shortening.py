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


@pytest.mark.parametrize("size", [1, 3000, 3950])
def test_what_fits_is_left_alone(size: int) -> None:
    fields = {**BEGIN, "body": "x" * size}

    assert render_json(fields) + b"\n" == render_line(fields, LIMIT)


def test_a_line_may_have_exactly_the_limit() -> None:
    fields = {**BEGIN, "body": ""}
    fields["body"] = "x" * (LIMIT - len(render_json(fields)) - 1)

    assert LIMIT == len(render_line(fields, LIMIT))
    assert fields == shortened(fields)
    assert ["body"] == shortened({**fields, "body": fields["body"] + "x"})["shortened"]


def test_the_longest_fields_are_cut_and_named() -> None:
    fields = {**BEGIN, "body": "x" * 1_000_000, "note": "n" * 500, "other": ["o"] * 5000, "request_id": "r1"}
    line = shortened(fields)

    assert ["body", "other"] == line["shortened"]
    assert line["body"].startswith("xxx")
    assert line["body"].endswith("...")
    assert line["other"].startswith('["o","o",')
    assert {**BEGIN, "note": "n" * 500, "request_id": "r1"} == {n: line[n] for n in [*BEGIN, "note", "request_id"]}


def test_most_of_the_room_is_used() -> None:
    assert len(render_line({**BEGIN, "body": "x" * 10**6, "more": '"' * 10**6}, LIMIT)) > 0.8 * LIMIT


@pytest.mark.parametrize("character", ["\x00", '"', "\N{SNOWMAN}", "\N{PILE OF POO}", "\ud800", "\\"])
def test_characters_count_as_they_are_written(character: str) -> None:
    """One such character can take six bytes in JSON."""
    line = shortened({**BEGIN, "body": "a" + character * 10_000})

    assert ["body"] == line["shortened"]
    assert line["body"].startswith("a")


@pytest.mark.parametrize("frames", [60, 1000])
def test_the_last_frames_of_an_exception_survive(frames: int) -> None:
    line = shortened({**BEGIN, "exception": [stack(frames)], "body": "x" * 10_000})
    (exception,) = line["exception"]

    assert ["exception", "body"] == line["shortened"]
    assert ("ValueError", "wrong") == (exception["exc_type"], exception["exc_value"])
    assert exception["frames"] == stack(frames)["frames"][-len(exception["frames"]) :]
    assert len(exception["frames"]) >= 3
    assert frames == len(exception["frames"]) + exception["frames_left_out"]


def test_a_shortened_chain_keeps_its_first_and_last_exceptions() -> None:
    chain = [stack(30, f"number {n}" + "x" * 10_000, exc_notes=["n" * 10_000]) for n in range(100)]
    line = shortened({**BEGIN, "exception": chain})

    assert line["exception"][0]["exc_value"].startswith("number 0xxx")
    assert line["exception"][-1]["exc_value"].startswith("number 99xxx")
    assert "function_29" == line["exception"][0]["frames"][-1]["name"]


def test_of_a_group_some_survive() -> None:
    members = [[stack(20, f"member {n}")] for n in range(50)]
    line = shortened({**BEGIN, "exception": [stack(20, "group", is_group=True, exceptions=members)]})
    (group,) = line["exception"]

    assert "group" == group["exc_value"]
    assert "member 0" == group["exceptions"][0][0]["exc_value"]
    assert 50 == len(group["exceptions"]) + group["exceptions_left_out"]


def test_of_a_traceback_in_text_the_end_survives() -> None:
    text = "Traceback\n" + "  File ...\n" * 1000 + "ValueError: wrong"
    line = shortened({**BEGIN, "error.stack_trace": text})

    assert line["error.stack_trace"].startswith("...")
    assert line["error.stack_trace"].endswith("ValueError: wrong")


def test_fields_within_fields_are_cut_by_themselves() -> None:
    attributes = {"url.path": "/", "exception.stacktrace": "x" * 10_000 + "end"}
    line = shortened({**BEGIN, "attributes": attributes})

    assert ["exception.stacktrace"] == line["shortened"]
    assert "/" == line["attributes"]["url.path"]
    assert line["attributes"]["exception.stacktrace"].endswith("end")


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
    for value in (
        [1] * 5000,
        [{"frames": None}, 7] * 2000,
        [{"frames": [{"a": 1}] * 2000}],
        [{"frames": 7, "a": "x" * 5000}],
        "x" * 5000,
        {"a": "x" * 5000},
    ):
        assert "failed" == shortened({**BEGIN, "exception": value})["event"]


@fuzzed
@given(st.dictionaries(TEXT, VALUES, max_size=8), st.integers(1024, 5000))
@pytest.mark.system
def test_every_line_is_valid_and_short_enough(fields: dict[str, Any], limit: int) -> None:
    line = shortened({**BEGIN, **Mask().fields(fields)}, limit)

    assert line.keys() >= BEGIN.keys()
