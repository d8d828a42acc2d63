from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.exposition import value
from tests.log.test_phases import lines
from tests.process import BIN, DEADLINE, PROJECT, Server, clean_environ, run_python, running, wait_until

pytestmark = pytest.mark.system

COMMAND: list[str | Path] = [BIN / "gunicorn", "tests.gunicorn.past_python:create_app()"]
ENV = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "1"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(COMMAND, tmp_path, ENV) as running_server:
        yield running_server


def said(server: Server) -> list[tuple[str, str]]:
    """Return logger and event of each line; every line must be valid."""
    return [(line.get("logger", ""), line["event"]) for line in lines(server.text())]


def test_what_is_written_past_python_is_in_the_log(server: Server) -> None:
    """Compiled code, child processes and a worker's end all write there."""
    (worker,) = server.children()
    assert 200 == server.get("/raw").status
    server.line("ZeroDivisionError: division by zero")
    assert 0 == server.stop()

    assert set(said(server)) >= {
        ("stdout", "imported"),
        ("stdout", "written by os.write"),
        ("stdout", "written by C"),
        ("stdout", "written by a child"),
        ("stderr", "and its error"),
        ("stdout", "written by a spawned child"),
        ("stderr", "at exit, not ended"),
    }
    assert {worker.pid} == {line["worker_pid"] for line in server.lines(logger="stdout")}
    (error,) = server.lines("ZeroDivisionError: division by zero")
    assert error["traceback"].startswith("Traceback (most recent call last):\n")


def test_the_last_words_of_a_worker_that_crashes_are_in_the_log(server: Server) -> None:
    (worker,) = server.children()
    with contextlib.suppress(OSError, http.client.HTTPException):
        server.get("/crash")
    server.line("worker ended", signal="SIGSEGV")
    words = server.line("Fatal Python error: Segmentation fault")
    assert 0 == server.stop()

    assert ("stderr", worker.pid) == (words["logger"], words["worker_pid"])
    assert ("stderr", "Fatal Python error: Segmentation fault") in said(server)


def has_more(server: Server, before: int) -> bool:
    return len(server.lines("half a line")) > before


def test_a_line_that_does_not_go_on_is_written(server: Server) -> None:
    for _ in range(2):
        before = len(server.lines("half a line"))
        server.get("/half")
        wait_until(partial(has_more, server, before), "the half")


def test_a_child_that_writes_without_end_is_read_and_hinders_nobody(server: Server) -> None:
    """Output beyond the log's limit is dropped and counted."""
    assert 200 == server.get("/flood").status
    assert 200 == server.manage("/readyz").status

    def counted() -> float:
        dropped = value(server.manage("/metrics").body.decode(), "service_log_lines_dropped_total")
        return dropped + server.text().count("one of many")

    wait_until(lambda: counted() == 100_000, "each line written or counted")
    assert 0 == server.stop()
    said(server)


def test_a_child_that_stays_does_not_hold_up_the_stop(server: Server) -> None:
    server.get("/leave")
    child = wait_until(
        lambda: next((child for child in server.children() if child.name() == "sleep"), None), "the shell becomes sleep"
    )
    assert child is not None
    began = time.monotonic()
    try:
        assert 0 == server.stop()
        assert time.monotonic() - began < 5
    finally:
        child.kill()


def test_the_next_master_has_the_output_of_this_one(server: Server) -> None:
    """Both masters keep it through a reload of the workers, with its trial."""
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(server.lines("imported")) == 3, "the trial and a new worker")
    server.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: len(server.lines("imported")) == 4, "the worker of the next master")
    (master,) = [child for child in server.children() if child.children()]
    outputs = [Path(f"/proc/{master.pid}/fd/{number}").readlink() for number in (1, 2)]
    try:
        assert 0 == server.stop()
        assert [server.output] * 2 == outputs
        assert 200 == server.get("/raw").status
    finally:
        master.terminate()
        master.wait(DEADLINE)

    assert ("stdout", "written by C") in said(server)


BEGIN = """if True:
    import os, resource
    from flask_ops.log import sink
    from flask_ops.log.line import Lines
    from flask_ops.core.settings import Settings
    from flask_ops.servers.gunicorn.raw_output import RawOutput
    sink.start(4096)
    raw = RawOutput(Lines(Settings.from_environ({})))
"""
STALLED = """
    for _ in range(5):
        raw.expect_child(dict)
        pid = os.fork()
        if pid == 0:
            for number in range(10_000):
                os.write(1, b"%100d\\n" % number)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    raw.expect_child(dict)
    if os.fork() == 0:
        if os.fork() == 0:
            os.execvp("sh", ["sh", "-c", "exec yes"])
        os._exit(0)
    os.wait()
"""


def test_no_writer_waits_for_the_reader_of_the_log() -> None:
    """A grandchild that writes forever does not delay the process's end either."""
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", BEGIN + STALLED], stdout=writer, cwd=PROJECT, env=clean_environ())
    os.close(writer)
    try:
        assert 0 == process.wait(DEADLINE)
    finally:
        process.kill()
        process.wait(DEADLINE)
        os.close(reader)


def test_a_child_is_forked_where_no_descriptor_is_left(tmp_path: Path) -> None:
    """The child writes to its parent's output."""
    script = """
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), 4096))
    raw.expect_child(dict)
    if os.fork() == 0:
        os.write(1, b"raw\\n")
        os._exit(0)
    os.wait()
    """
    with (tmp_path / "out").open("wb") as file:
        run_python(BEGIN + script, stdout=file)

    assert "raw\n" == (tmp_path / "out").read_text()
