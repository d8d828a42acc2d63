from __future__ import annotations

import logging

import pytest

from service.logs.repeats import LEFT_OUT, WINDOW_SECONDS, RepeatFilter


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def record(
    message: object = "wrong", level: int = logging.WARNING, name: str = "a", *args: object
) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, message, args, None)


def test_beyond_the_limit_they_are_left_out_and_the_next_one_says_how_many(clock: Clock) -> None:
    repeats = RepeatFilter(3)
    expected = [True] * 3 + [False] * 7
    assert expected == [repeats.filter(record()) for _ in range(10)]
    clock.now += WINDOW_SECONDS
    after, second = record(), record()

    assert (True, 7) == (repeats.filter(after), getattr(after, LEFT_OUT))
    assert (True, False) == (repeats.filter(second), hasattr(second, LEFT_OUT))


def test_structlogs_lines_say_it_too_and_the_given_fields_stay(clock: Clock) -> None:
    repeats = RepeatFilter(1)
    for _ in range(3):
        repeats.filter(record({"event": "wrong", "number": 1}))
    clock.now += WINDOW_SECONDS
    fields = {"event": "wrong", "number": 2}
    after = record(fields)
    repeats.filter(after)

    assert {"event": "wrong", "number": 2, LEFT_OUT: 2} == after.msg
    assert {"event": "wrong", "number": 2} == fields


@pytest.mark.parametrize(
    "other",
    [
        record("else"),
        record(level=logging.ERROR),
        record(name="b"),
        record("%d", logging.WARNING, "a", 7),
        record({"event": "e"}),
    ],
)
def test_only_the_same_logger_level_and_text_count_as_the_same(other: logging.LogRecord) -> None:
    repeats = RepeatFilter(1)
    repeats.filter(record())

    assert repeats.filter(other)
    assert not repeats.filter(record())


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_what_is_no_warning_is_never_left_out(level: int) -> None:
    repeats = RepeatFilter(1)

    assert [True] * 5 == [repeats.filter(record(level=level)) for _ in range(5)]


def test_different_texts_without_end_need_no_memory_without_end() -> None:
    repeats = RepeatFilter(1)
    for number in range(5000):
        assert repeats.filter(record(f"number {number}"))

    assert len(repeats._texts) <= 1000


def test_a_broken_call_is_let_through() -> None:
    assert RepeatFilter(1).filter(record("%d", logging.WARNING, "a", "x"))
