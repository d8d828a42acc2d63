from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_ops.log.output import PIPE_BYTES, Output, wait_for_room
from tests.process import run_python, wait_until


@contextlib.contextmanager
def stdout_is(descriptor: int) -> Iterator[None]:
    """Use this descriptor as standard output during the block."""
    saved = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def output() -> Output:
    return Output(lambda dropped: b"dropped %d\n" % dropped)


def line(letter: str, size: int) -> bytes:
    return letter.encode() * (size - 1) + b"\n"


def test_lines_go_into_a_pipe_in_whole_pieces() -> None:
    """Each write holds whole lines, and at most as much as a pipe takes at once.

    A pipe in packet mode returns each write separately.
    """
    reader, writer = os.pipe2(os.O_DIRECT)
    lines = [line(letter, size) for letter, size in zip("abcdefg", [1000, 2000, 1096, 1, 4096, 500, 3597], strict=True)]
    with stdout_is(writer):
        output().write(lines)
    os.close(writer)
    pieces = []
    while piece := os.read(reader, 2 * PIPE_BYTES):
        pieces.append(piece)
    os.close(reader)

    assert [b"".join(lines[:3]), lines[3], lines[4], lines[5], lines[6]] == pieces


def test_a_reader_that_is_gone_loses_lines_and_raises_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    written = output()
    with stdout_is(writer):
        written.write([b"a\n", b"b\n", b"c\n"])

    assert 3 == written.dropped


def test_a_line_that_a_full_disk_cut_off_ends_before_the_next_one(tmp_path: Path) -> None:
    """A file size limit stands for a full disk: the system refuses to write beyond it."""
    script = """if True:
    import resource, signal, sys
    from flask_ops.log.output import Output
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    output, (_, hard) = Output(lambda dropped: b"dropped %d\\n" % dropped), resource.getrlimit(resource.RLIMIT_FSIZE)
    def limit(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    limit(14)
    output.write([b"one two\\n", b"three four\\n", b"five\\n"])
    limit(17)
    output.write([b"six six\\n"])
    limit(hard)
    output.write([b"seven\\n"])
    print(output.dropped, file=sys.stderr)
"""
    with (tmp_path / "file").open("wb") as file:
        said = run_python(script, stdout=file)

    assert "2" == said.strip()
    assert "one two\nthree four\nseven\ndropped 2\n" == (tmp_path / "file").read_text()


def test_a_pipe_that_somebody_has_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    """All processes that share the pipe share this setting. It must not lose lines."""
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(writer, False)
    lines = [line("x", PIPE_BYTES) for _ in range(5)]
    written = output()
    with stdout_is(writer):
        thread = threading.Thread(target=written.write, args=(lines,))
        thread.start()
        received = b""
        while len(received) < 5 * PIPE_BYTES:
            received += os.read(reader, 100)
        thread.join(10)

    assert b"".join(lines) == received
    assert 0 == written.dropped


def test_it_tells_whether_a_write_would_wait(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with stdout_is(writer):
        assert wait_for_room(0)
        os.write(1, line("x", PIPE_BYTES))
        assert not wait_for_room(0.01)
        os.read(reader, PIPE_BYTES)
        wait_until(lambda: wait_for_room(0), "room")
