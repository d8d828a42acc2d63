from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.process import DEADLINE, PROJECT, run_python, wait_until

pytestmark = pytest.mark.system

BEGIN = """if True:
    import os, signal, sys, threading, time
    from flask_ops.log import sink
    def say(text): sink.write_line(text.encode() + b"\\n")
    def start(): sink.start(2 ** 20)
"""


def written(script: str, tmp_path: Path, early: str = "") -> str:
    """Run the script, and return its standard output, a pipe. ``early`` comes before the imports."""
    with (tmp_path / "out").open("wb") as file:
        reader, writer = os.pipe()
        cat = subprocess.Popen(["cat"], stdin=reader, stdout=file)
        os.close(reader)
        with os.fdopen(writer, "wb") as pipe:
            run_python(early + BEGIN + script, stdout=pipe)
        cat.wait(DEADLINE)
    return (tmp_path / "out").read_text()


def test_all_is_written_before_start_after_it_and_at_the_exit(tmp_path: Path) -> None:
    """This includes lines logged after the flush: atexit runs the first registered function last."""
    early = """if True:
    import atexit
    atexit.register(lambda: say("last"))
"""
    script = """
    say("first")
    start()
    for number in range(1000): say(str(number))
    """

    assert ["first", *map(str, range(1000)), "last"] == written(script, tmp_path, early).splitlines()


def test_forks_neither_double_nor_lose_a_line(tmp_path: Path) -> None:
    """While the parent's threads log, it forks children that log. Half of the children start a writer."""
    script = """
    start()
    def log(name):
        for number in range(300): say(f"{name} {number}")
    threads = [threading.Thread(target=log, args=(f"thread {i}",)) for i in range(3)]
    for thread in threads: thread.start()
    children = []
    for child in range(20):
        pid = os.fork()
        if pid == 0:
            if child % 2:
                start()
            for number in range(10): say(f"child {child} {number}")
            sink.flush()
            os._exit(0)
        children.append(pid)
    for pid in children: os.waitpid(pid, 0)
    for thread in threads: thread.join()
    """
    lines = written(script, tmp_path).splitlines()

    expected = {f"thread {i} {number}" for i in range(3) for number in range(300)}
    expected |= {f"child {child} {number}" for child in range(20) for number in range(10)}
    assert len(expected) == len(lines)
    assert expected == set(lines)


def test_a_child_that_ends_without_an_exit_has_written_its_lines(tmp_path: Path) -> None:
    """Children of multiprocessing end this way. Without a call of start, a line is written when the call returns."""
    script = """
    start()
    if os.fork() == 0:
        say("child")
        os._exit(0)
    os.wait()
    """

    assert "child\n" == written(script, tmp_path)


@pytest.mark.parametrize("begin", ["start()", "pass"])
def test_the_exit_waits_for_a_stalled_reader_only_so_long(begin: str) -> None:
    """A full pipe does not block the process or its child forever."""
    reader, writer = os.pipe()
    script = f"""
    sink.FLUSH_SECONDS = 0.3
    sink._process.begin(0.3)
    {begin}
    for number in range(20000): say("x" * 100)
    if os.fork() == 0:
        say("child")
        sys.exit()
    os.wait()
    """
    try:
        run_python(BEGIN + script, stdout=writer)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_killed_process_loses_only_its_last_lines(tmp_path: Path) -> None:
    """The file has all lines except those of the last fraction of a second."""
    script = """
    start()
    number = 0
    while True:
        say(f"{number} {time.time()}")
        number += 1
        time.sleep(0.001)
    """
    path = tmp_path / "out"
    with path.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", BEGIN + script], stdout=file, cwd=PROJECT)
        try:
            wait_until(lambda: path.read_text().count("\n") > 200, "200 lines")
        finally:
            killed = time.time()
            process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE)
    lines = path.read_text().splitlines()

    assert [str(number) for number in range(len(lines))] == [line.split()[0] for line in lines]
    assert killed - float(lines[-1].split()[1]) < 1


def test_a_truncated_log_starts_at_its_beginning(tmp_path: Path) -> None:
    """logrotate's copytruncate does this. The shell may have opened the file with > or with >>."""
    script = """
    start()
    say("before")
    sink.flush()
    os.truncate(1, 0)
    say("after")
    """
    with (tmp_path / "out").open("wb") as file:
        run_python(BEGIN + script, stdout=file)

    assert b"after\n" == (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("begin", ["start()", "pass"])
def test_drops_are_told_when_the_reader_is_back(begin: str, tmp_path: Path) -> None:
    script = f"""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    {begin}
    reader, writer = os.pipe()
    saved = os.dup(1)
    os.dup2(writer, 1)
    os.close(reader)
    for number in range(5):
        say("lost")
    sink.flush()
    assert sink.dropped() == 5, sink.dropped()
    os.dup2(saved, 1)
    say("back")
    """

    told = '{"level":"warning","event":"log lines dropped","lines":5}\n'
    assert "back\n" + told == written(script, tmp_path)
