from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable

import pytest

from flask_ops.log.repeats import LEFT_OUT, OTHERS_LEFT_OUT, WINDOW_SECONDS, RepeatFilter
from tests.process import DEADLINE


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


def divide(by: object) -> None:
    raise ZeroDivisionError(by)


def lookup(key: object) -> None:
    raise KeyError(key)


def lookup_elsewhere(key: object) -> None:
    raise KeyError(key)


def foreign(error: Exception) -> logging.LogRecord:
    found = record("unhandled exception", logging.ERROR)
    found.exc_info = type(error), error, error.__traceback__
    return found


def own(error: Exception) -> logging.LogRecord:
    return record({"event": "unhandled exception", "exc_info": error}, logging.ERROR)


def handled(_error: Exception) -> logging.LogRecord:
    return record({"event": "unhandled exception", "exc_info": True}, logging.ERROR)


@pytest.mark.parametrize("told", [foreign, own, handled])
def test_exceptions_of_another_type_or_from_another_place_are_not_the_same(
    told: Callable[[Exception], logging.LogRecord],
) -> None:
    repeats = RepeatFilter(1)

    def is_written(fail: Callable[[object], None], value: object) -> bool:
        try:
            fail(value)
        except (ZeroDivisionError, KeyError) as error:
            return repeats.filter(told(error))
        raise AssertionError("nothing was raised")

    assert [True, True, True] == [is_written(fail, 1) for fail in (divide, lookup, lookup_elsewhere)]
    assert [False, False, False] == [is_written(fail, 2) for fail in (divide, lookup, lookup_elsewhere)]


def test_an_exception_without_a_place_is_known_by_its_type() -> None:
    repeats = RepeatFilter(1)

    assert [True, True, False] == [repeats.filter(own(error)) for error in (ValueError(), KeyError(), ValueError())]


@pytest.mark.parametrize("exc_info", [("a",), (), "yes", 5, (None, None, None)])
def test_what_is_no_exception_makes_no_difference(exc_info: object) -> None:
    repeats = RepeatFilter(1)
    odd = record({"event": "wrong", "exc_info": exc_info})

    assert [True, False] == [repeats.filter(odd), repeats.filter(odd)]


class Collecting(str):
    """A logger name whose lookup runs the garbage collector, which may run at any moment."""

    __slots__ = ()

    def __hash__(self) -> int:
        gc.collect()
        return super().__hash__()


def test_a_log_call_of_the_garbage_collector_does_not_deadlock() -> None:
    repeats = RepeatFilter(1)
    logged = []

    class Unclosed:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            logged.append(repeats.filter(record("not closed")))

    def log() -> None:
        Unclosed()
        logged.append(repeats.filter(record("wrong", logging.WARNING, Collecting("a"))))

    thread = threading.Thread(target=log, daemon=True)
    thread.start()
    thread.join(DEADLINE)

    assert [True, True] == logged


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_what_is_no_warning_is_never_left_out(level: int) -> None:
    repeats = RepeatFilter(1)

    assert [True] * 5 == [repeats.filter(record(level=level)) for _ in range(5)]


def test_different_texts_without_end_need_no_memory_without_end() -> None:
    repeats = RepeatFilter(1)
    for number in range(5000):
        assert repeats.filter(record(f"number {number}"))

    assert len(repeats._texts) <= 1000


def test_the_number_of_a_text_that_is_forgotten_is_said_at_once() -> None:
    repeats = RepeatFilter(1)
    for _ in range(5):
        repeats.filter(record("first"))
    others = [record(f"number {number}") for number in range(1000)]
    for other in others:
        repeats.filter(other)

    assert [4] == [vars(other)[OTHERS_LEFT_OUT] for other in others if OTHERS_LEFT_OUT in vars(other)]


def test_a_broken_call_is_let_through() -> None:
    assert RepeatFilter(1).filter(record("%d", logging.WARNING, "a", "x"))
