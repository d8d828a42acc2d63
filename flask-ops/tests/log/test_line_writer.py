from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from flask_ops.log.line_writer import LineWriter
from flask_ops.log.output import Output
from tests.process import DEADLINE, wait_until


class Reader(Output):
    """An output that can stall and refuse."""

    def __init__(self) -> None:
        super().__init__(lambda dropped: b"dropped %d\n" % dropped)
        self.lines: list[bytes] = []
        self.entered = threading.Event()
        self.reads = threading.Event()
        self.reads.set()
        self.refuses = False

    def _write(self, piece: bytes) -> int:
        self.entered.set()
        assert self.reads.wait(DEADLINE)
        lines = piece.splitlines(keepends=True)
        if self.refuses:
            return len(lines)
        self.lines += lines
        return 0


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.reads.set()


def writer_to(reader: Reader, limit: int = 100) -> LineWriter:
    return LineWriter(reader, limit)


def stall(reader: Reader, writer: LineWriter) -> None:
    """Make the thread wait for the reader while it writes one line."""
    reader.reads.clear()
    reader.entered.clear()
    writer.put(b"stalled...\n")
    assert reader.entered.wait(DEADLINE)


def test_the_lines_of_each_thread_keep_their_order(reader: Reader) -> None:
    writer = writer_to(reader, 10**6)

    def put(name: int) -> None:
        for number in range(500):
            writer.put(b"%d %d\n" % (name, number))

    threads = [threading.Thread(target=put, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert writer.flush(DEADLINE)
    assert 4000 == len(reader.lines)
    for name in range(8):
        mine = [line for line in reader.lines if line.startswith(b"%d " % name)]
        assert [b"%d %d\n" % (name, number) for number in range(500)] == mine


def test_a_line_is_written_without_a_flush(reader: Reader) -> None:
    writer = writer_to(reader)
    for expected in ([b"a\n"], [b"a\n", b"b\n"]):
        writer.put(expected[-1])
        wait_until(lambda expected=expected: expected == reader.lines, "the line")  # type: ignore[misc] # mypy cannot infer a lambda with a default


def test_lines_without_room_are_dropped_counted_and_reported(reader: Reader) -> None:
    """The line being written counts as well: 11 of 100 bytes."""
    writer = writer_to(reader)
    stall(reader, writer)
    for number in range(20):
        writer.put(b"line %04d\n" % number)
    assert 12 == reader.dropped
    reader.reads.set()
    assert writer.flush(DEADLINE)
    writer.put(b"back\n")
    assert writer.flush(DEADLINE)

    kept = [b"line %04d\n" % number for number in range(8)]
    assert [b"stalled...\n", b"dropped 12\n", *kept, b"back\n"] == reader.lines
    assert 12 == reader.dropped


def test_a_line_longer_than_the_buffer_is_dropped_alone(reader: Reader) -> None:
    writer = writer_to(reader)
    writer.put(b"x" * 101)
    writer.put(b"after\n")

    assert writer.flush(DEADLINE)
    assert [b"after\n", b"dropped 1\n"] == reader.lines


def test_refused_lines_are_counted_and_reported_later(reader: Reader) -> None:
    writer = writer_to(reader)
    reader.refuses = True
    for number in range(3):
        writer.put(b"%d\n" % number)
        assert writer.flush(DEADLINE)
    assert 3 == reader.dropped
    reader.refuses = False
    writer.put(b"back\n")
    assert writer.flush(DEADLINE)

    assert [b"back\n", b"dropped 3\n"] == reader.lines
    assert 3 == reader.dropped


def test_a_flush_has_a_deadline(reader: Reader) -> None:
    writer = writer_to(reader)
    stall(reader, writer)

    assert not writer.flush(0.01)
    reader.reads.set()
    assert writer.flush(DEADLINE)


def test_a_flush_writes_what_an_interrupted_put_has_left(reader: Reader) -> None:
    """A signal handler may raise SystemExit during a put. The exit then writes the line."""
    writer = writer_to(reader)
    with writer._lock:
        writer._lines.append(b"left\n")
        writer._bytes += 5
        writer._busy = True

    assert writer.flush(DEADLINE)
    assert [b"left\n"] == reader.lines


def test_a_signal_handler_may_log_while_its_thread_does(reader: Reader) -> None:
    writer = writer_to(reader)
    with writer._lock, reader._lock:
        writer.put(b"from the handler\n")
        writer.put(b"x" * 1000)

    assert writer.flush(DEADLINE)
    assert [b"from the handler\n", b"dropped 1\n"] == reader.lines
