"""Hooks in a project's own gunicorn.conf.py run in addition to the library's."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.attach.servers import ATTACHED, JOURNAL, LOOPBACK, are_replaced, assert_observed, attached, metric, pids
from tests.process import DEADLINE, Server, started, wait_until

HOOKS = [
    "on_reload",
    "when_ready",
    "pre_fork",
    "post_fork",
    "post_worker_init",
    "worker_int",
    "worker_abort",
    "pre_exec",
    "pre_request",
    "post_request",
    "child_exit",
    "worker_exit",
    "nworkers_changed",
    "on_exit",
]
ARGUMENTS = {"nworkers_changed": 3, "post_request": 4}
ONE_ARGUMENT = {"on_reload", "when_ready", "post_worker_init", "worker_int", "worker_abort", "pre_exec", "on_exit"}
COMMAND = [*ATTACHED[:2], "own.conf.py"]


def configuration(more: str) -> str:
    """Return a gunicorn.conf.py whose hooks record their calls."""
    parts = ["from flask_ops.gunicorn import *", "def note(name):\n    open('called', 'a').write(f'{name}\\n')"]
    for name in HOOKS:
        number = 1 if name in ONE_ARGUMENT else ARGUMENTS.get(name, 2)
        arguments = ", ".join(f"_{index}" for index in range(number))
        parts.append(f"def {name}({arguments}):\n    note({name!r})")
    return "\n".join([*parts, more, ""])


WITH_OURS = """
import flask_ops.gunicorn
def on_starting(server):
    note("on_starting")
    flask_ops.gunicorn.on_starting(server)
"""
WITHOUT_OURS = """
def on_starting(server):
    note("on_starting")
"""


def calls(folder: Path) -> list[str]:
    path = folder / "called"
    return path.read_text().split() if path.exists() else []


def called(folder: Path) -> set[str]:
    return set(calls(folder))


def replace(server: Server, send: Callable[[], object]) -> None:
    """End the only worker with ``send``, and wait until its replacement answers."""
    before = pids(server)
    send()
    wait_until(lambda: are_replaced(server, before), "another worker")
    assert 200 == server.get("/").status


def test_all_hooks_are_called_and_ours_work_as_well(tmp_path: Path) -> None:
    (tmp_path / "own.conf.py").write_text(configuration(WITH_OURS))
    with attached(JOURNAL, tmp_path, [LOOPBACK, "-w", "1"], command=COMMAND) as server:
        replace(server, partial(server.process.send_signal, signal.SIGHUP))
        for number in (signal.SIGINT, signal.SIGABRT):
            (worker,) = server.children()
            replace(server, partial(worker.send_signal, number))

        assert_observed(server, Counter({("GET", "/", "200"): 3}))
        assert 1 == metric(server, "service_worker_exits_total", reason="reload")
        server.process.send_signal(signal.SIGTTIN)
        wait_until(lambda: calls(tmp_path).count("post_worker_init") == 5, "one more worker has started")
        assert 0 == server.stop()

    assert {*HOOKS, "on_starting"} - {"pre_exec"} == called(tmp_path)
    assert 5 == calls(tmp_path).count("child_exit") == calls(tmp_path).count("worker_exit")


def test_a_hook_that_fails_in_an_aborted_worker_is_logged(tmp_path: Path) -> None:
    (tmp_path / "own.conf.py").write_text(configuration(f"{WITH_OURS}def worker_exit(_0, _1):\n    1 / 0\n"))
    with attached(JOURNAL, tmp_path, [LOOPBACK, "-w", "1"], command=COMMAND) as server:
        (worker,) = server.children()
        replace(server, partial(worker.send_signal, signal.SIGABRT))

        assert "division by zero" in str(server.line("hook failed")["exception"])
        assert 0 == server.stop()


def test_pre_exec_is_called_before_another_master_takes_over(tmp_path: Path) -> None:
    (tmp_path / "own.conf.py").write_text(configuration(WITH_OURS))
    with attached(JOURNAL, tmp_path, [LOOPBACK, "-w", "1"], command=COMMAND) as server:
        server.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: (tmp_path / "called").read_text().split().count("when_ready") == 2, "another master")

        assert "pre_exec" in called(tmp_path)
        assert 200 == server.get("/").status


def test_a_start_without_our_on_starting_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "own.conf.py").write_text(configuration(WITHOUT_OURS))
    env = {"JOURNAL_FOLDER": str(tmp_path)}
    with started([*COMMAND, LOOPBACK, JOURNAL], tmp_path, env, cwd=tmp_path) as server:
        assert 78 == server.process.wait(DEADLINE)

        (line,) = [line for line in server.lines() if line["level"] not in {"debug", "info"}]
        assert "critical" == line["level"]
        assert "flask_ops.gunicorn.on_starting(server)" in str(line)
        assert "Traceback" not in server.text()
