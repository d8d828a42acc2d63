from __future__ import annotations

import io
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_ops.core.settings import Settings
from flask_ops.log.line import Lines
from flask_ops.log.printed_lines import PrintedLines, end_mine, log_what_is_printed
from tests.process import DEADLINE


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
    for part in ("in", " ", "parts\nfo", "ur"):
        assert len(part) == stream.write(part)
    assert ["one two", "Error: three", "in parts"] == log.events
    stream.flush()

    assert "four" == log.events[-1]


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


def test_what_modules_do_with_their_streams_does_no_harm(log: Log, tmp_path: Path) -> None:
    uses: list[Callable[[Any], object]] = [
        lambda stream: stream.reconfigure(line_buffering=True, encoding="latin-1"),
        lambda stream: stream.errors.upper(),
        lambda stream: (stream.name, stream.mode, stream.line_buffering, stream.newlines),
        lambda stream: stream.close(),
        lambda stream: stream.buffer.close(),
        lambda stream: io.TextIOWrapper(stream.detach(), encoding="utf-8").close(),
    ]
    with (tmp_path / "file").open("w") as file:
        for use in uses:
            stream = PrintedLines(log, file)
            use(stream)
            print("goes on", file=stream)

    assert ["goes on"] * len(uses) == log.events


def test_bytes_are_lines_too(stream: PrintedLines, log: Log) -> None:
    for part in (b"one ", "zw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf\n".encode(), b"\xff\n"):
        assert len(part) == stream.buffer.write(part)
    wrapped = io.TextIOWrapper(stream.buffer, encoding="utf-8")
    print("wrapped", file=wrapped, flush=True)

    assert ["one zw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf", "\\xff", "wrapped"] == log.events


def test_an_unfinished_line_ends_with_its_request_or_its_thread(stream: PrintedLines, log: Log) -> None:
    def begin(text: str, go_on: threading.Event | None = None) -> None:
        stream.write(text)
        if go_on is not None:
            begun.set()
            go_on.wait(DEADLINE)
            print(" and ended", file=stream)

    begun, go_on = threading.Event(), threading.Event()
    other = threading.Thread(target=begin, args=("of a thread that lives", go_on))
    other.start()
    begun.wait(DEADLINE)
    for number in range(2):  # the second may get the identity of the first
        ended = threading.Thread(target=begin, args=(f"of a thread that ended {number}",))
        ended.start()
        ended.join()
    stream.write("mine")
    end_mine()
    go_on.set()
    other.join()

    assert {"mine", "of a thread that ended 0", "of a thread that ended 1"} == set(log.events[:3])
    assert ["of a thread that lives and ended"] == log.events[3:]


@pytest.fixture
def _streams() -> Iterator[None]:
    names = "stdout", "stderr", "__stdout__", "__stderr__"
    saved = {name: getattr(sys, name) for name in names}
    yield
    for name, stream in saved.items():
        setattr(sys, name, stream)


@pytest.mark.usefixtures("_streams")
def test_both_streams_are_taken_once_and_keep_what_others_need_of_them(capfd: pytest.CaptureFixture[str]) -> None:
    """They keep their descriptor, encoding and name."""
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
        assert original.name == taken.name
        assert "utf-8" == taken.encoding
        assert taken.writable()
        assert not taken.isatty()
