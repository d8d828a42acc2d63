from __future__ import annotations

import io
import sys
import threading
import traceback
from collections.abc import Iterator

import pytest

from service.logs.line import Lines
from service.logs.standard_streams import PrintedLines, log_what_is_printed
from service.settings import Settings


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.tracebacks: list[str] = []

    def __call__(self, event: str, text: str) -> None:
        self.events.append(event)
        if text:
            self.tracebacks.append(text)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def stream(log: Log) -> PrintedLines:
    return PrintedLines(log, io.TextIOWrapper(io.BytesIO()))


def test_each_line_is_an_event(stream: PrintedLines, log: Log) -> None:
    print("one", "two", file=stream)
    print("\nError: three\n\n", file=stream)

    assert ["one two", "Error: three"] == log.events


def test_a_line_that_comes_in_parts_is_one_event(stream: PrintedLines, log: Log) -> None:
    for part in ("one", " ", "two\nthr", "ee"):
        assert len(part) == stream.write(part)
    assert ["one two"] == log.events
    stream.flush()

    assert ["one two", "three"] == log.events


def test_threads_do_not_continue_each_others_lines(stream: PrintedLines, log: Log) -> None:
    stream.write("mine ")
    thread = threading.Thread(target=print, args=("theirs",), kwargs={"file": stream})
    thread.start()
    thread.join()
    stream.write("too\n")

    assert ["theirs", "mine too"] == log.events


def raise_twice() -> None:
    try:
        raise ValueError("first")
    except ValueError as error:
        raise KeyError("second") from error


def test_a_traceback_is_one_event_for_each_exception(stream: PrintedLines, log: Log) -> None:
    try:
        raise_twice()
    except KeyError:
        traceback.print_exc(file=stream)
    print("after", file=stream)
    cause = "The above exception was the direct cause of the following exception:"

    assert ["ValueError: first", cause, "KeyError: 'second'", "after"] == log.events
    first, second = log.tracebacks
    assert first.startswith("Traceback (most recent call last):\n  File ")
    assert second.endswith("\nKeyError: 'second'")


def test_a_traceback_that_does_not_end_is_written_with_the_flush(stream: PrintedLines, log: Log) -> None:
    stream.write('Traceback (most recent call last):\n  File "x"\n')
    assert [] == log.events
    stream.flush()

    assert ['Traceback (most recent call last):\n  File "x"'] == log.tracebacks


def test_text_without_an_end_is_not_kept_for_ever(stream: PrintedLines, log: Log) -> None:
    for _ in range(30):
        stream.write("x" * 100_000)

    assert [10**6, 10**6] == [len(event) for event in log.events[:2]]


@pytest.fixture
def _streams() -> Iterator[None]:
    saved = sys.stdout, sys.stderr
    yield
    sys.stdout, sys.stderr = saved


@pytest.mark.usefixtures("_streams")
def test_both_streams_are_taken_once_and_keep_what_others_need_of_them(capfd: pytest.CaptureFixture[str]) -> None:
    """Their descriptor, their bytes and their encoding."""
    before = sys.stdout, sys.stderr
    for name in ("first", "second"):
        log_what_is_printed(Lines(Settings.from_environ({"SERVICE_NAME": name})))
    print("printed")  # noqa: T201 - this is what is tested
    sys.stderr.write("said\n")
    written = capfd.readouterr().out.splitlines()
    found = sys.stdout, sys.stderr

    assert ['"service":"second"', '"service":"second"'] == [line[line.index('"service"') :][:18] for line in written]
    assert ['"level":"info","event":"printed"', '"level":"warning","event":"said"'] == [
        line[line.index('"level"') : line.index(',"service"')] for line in written
    ]
    for taken, original in zip(found, before, strict=True):
        assert original.fileno() == taken.fileno()
        assert original.buffer is taken.buffer
        assert "utf-8" == taken.encoding
        assert taken.writable()
        assert not taken.isatty()
