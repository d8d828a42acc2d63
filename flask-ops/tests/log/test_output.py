from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_ops.log.output import PIPE_BYTES, Output, is_file, takes_more
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


def line(letter: str, size: int) -> bytes:
    return letter.encode() * (size - 1) + b"\n"


def test_lines_go_into_a_pipe_in_whole_pieces() -> None:
    """Each write holds whole lines, and at most as much as a pipe takes at once.

    A pipe in packet mode returns each write separately.
    """
    reader, writer = os.pipe2(os.O_DIRECT)
    lines = [line(letter, size) for letter, size in zip("abcdefg", [1000, 2000, 1096, 1, 4096, 500, 3597], strict=True)]
    with stdout_is(writer):
        lost = Output().write(lines)
    os.close(writer)
    pieces = []
    while piece := os.read(reader, 2 * PIPE_BYTES):
        pieces.append(piece)
    os.close(reader)

    assert 0 == lost
    assert [b"".join(lines[:3]), lines[3], lines[4], lines[5], lines[6]] == pieces


def test_a_reader_that_is_gone_loses_lines_and_raises_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    with stdout_is(writer):
        assert 3 == Output().write([b"a\n", b"b\n", b"c\n"])


FULL = """if True:
    import os, resource, signal, sys
    from flask_ops.log.output import Output
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    output, (_, hard) = Output(), resource.getrlimit(resource.RLIMIT_FSIZE)
    def limit(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
"""
"""A file size limit stands for a full disk: the system refuses to write beyond it."""


@pytest.mark.parametrize(
    ("cannot", "written", "lost"),
    [
        ("", "one two\nseven\n", "[2, 1, 0]"),
        ("def refuse(*_): raise PermissionError\nos.ftruncate = refuse", "one two\nthree four\nseven\n", "[1, 1, 0]"),
    ],
    ids=["taken back", "ended later, in a file that cannot be cut"],
)
def test_a_line_that_is_cut_off_spoils_no_other_one(cannot: str, written: str, lost: str, tmp_path: Path) -> None:
    script = f"""
{cannot}
limit(14)
lost = [output.write([b"one two\\n", b"three four\\n", b"five\\n"]), output.write([b"six six\\n"])]
limit(hard)
lost.append(output.write([b"seven\\n"]))
print(lost, file=sys.stderr)
"""
    with (tmp_path / "file").open("wb") as file:
        said = run_python(FULL + script, stdout=file)

    assert lost == said.strip()
    assert written == (tmp_path / "file").read_text()


def test_a_full_disk_leaves_the_lines_of_all_processes_whole(tmp_path: Path) -> None:
    """Each process is refused within a line while others write, and continues when there is room again."""
    script = """
import multiprocessing
processes = multiprocessing.get_context("fork")
refused = processes.Barrier(4, timeout=20)
def log(name):
    limit(20_000)
    for number in range(10_000):
        lines = [b"%d %d %s.\\n" % (name, number, b"x" * (17 * number % 1000)) for _ in range(3)]
        if output.write(lines):
            break
    refused.wait()
    limit(hard)
    assert 0 == output.write([b"%d after.\\n" % name])
children = [processes.Process(target=log, args=(name,)) for name in range(4)]
for child in children: child.start()
for child in children: child.join()
assert [0] * 4 == [child.exitcode for child in children]
"""
    with (tmp_path / "file").open("wb") as file:
        run_python(FULL + script, stdout=file)
    lines = (tmp_path / "file").read_text().splitlines()

    assert [] == [line for line in lines if not (line[0].isdigit() and line.count(".") == 1 and line.endswith("."))]
    assert {f"{name} after." for name in range(4)} <= set(lines)


def test_a_pipe_that_somebody_has_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    """All processes that share the pipe share this setting. It must not lose lines."""
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(writer, False)
    lines = [line("x", PIPE_BYTES) for _ in range(5)]
    lost: list[int] = []
    with stdout_is(writer):
        thread = threading.Thread(target=lambda: lost.append(Output().write(lines)))
        thread.start()
        received = b""
        while len(received) < 5 * PIPE_BYTES:
            received += os.read(reader, 100)
        thread.join(10)

    assert b"".join(lines) == received
    assert [0] == lost


def test_it_tells_whether_a_write_would_wait(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with stdout_is(writer):
        assert takes_more(0)
        os.write(1, line("x", PIPE_BYTES))
        assert not takes_more(0.01)
        os.read(reader, PIPE_BYTES)
        wait_until(lambda: takes_more(0), "room")


def test_it_tells_a_file_from_a_pipe(pipe: tuple[int, int], tmp_path: Path) -> None:
    with stdout_is(pipe[1]):
        assert not is_file()
    with (tmp_path / "file").open("wb") as file, stdout_is(file.fileno()):
        assert is_file()
