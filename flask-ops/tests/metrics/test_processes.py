from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from flask_ops.metrics import processes
from flask_ops.metrics.processes import Figures, figures
from tests.process import Server, started, wait_until

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
TICK = 0.01
MASTER, WORKER, OTHER, BELOW = 100, 200, 201, 300

BURN = """
import os, resource, signal, subprocess, sys, threading, time

def burn(seconds):
    while time.process_time() < seconds:
        os.urandom(1000)
        sum(range(1000))

def fork(work):
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    return pid

def say(*words):
    print(*words, flush=True)
"""

STORM = f"""{BURN}
for _ in range(60):
    for child in [fork(lambda: burn(0.025)), fork(lambda: None), fork(lambda: burn(0.012))]:
        os.waitpid(child, 0)
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
say("truth", sum(each.ru_utime + each.ru_stime for each in used))
signal.pause()
"""

FAMILY = f"""{BURN}
def large():
    memory = b"x" * 64_000_000
    subprocess.Popen([sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"])
    threading.Thread(target=signal.sigwait, args=[[signal.SIGTERM]], daemon=True).start()
    say("up")
    signal.pause()

def near_its_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    files = [open(os.devnull) for _ in range(60)]
    say("up")
    signal.pause()

fork(large)
fork(near_its_limit)
signal.pause()
"""

ZOMBIE = f"""{BURN}
child = fork(lambda: burn(0.2))
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
say("up")
signal.pause()
"""

THREAD = f"""{BURN}
def forking():
    fork(signal.pause)
    say("up")
    threading.Event().wait()

threading.Thread(target=forking).start()
"""


def known(main: int, proc: Path = Path("/proc")) -> Figures:
    """Return the figures, which must exist."""
    found = figures(main, proc)
    assert found is not None
    return found


def up(server: Server, times: int = 1) -> bool:
    """Return True if exactly ``times`` processes have reported that they are up."""
    return server.text().count("up") == times


def stat(parent: int, ticks: tuple[int, int, int, int] = (0, 0, 0, 0), state: str = "S", name: str = "gunicorn") -> str:
    """Return the line of a process with 2 threads, 1000 bytes and 3 pages, started 500 ticks after boot."""
    used = " ".join(map(str, ticks))
    return f"1 ({name}) {state} {parent} 1 1 0 -1 0 0 0 0 0 {used} 20 0 2 0 500 1000 3 99 0"


def tree(root: Path, stats: Mapping[int, str], *, lists: bool = True, limit: int = 50) -> Path:
    """Create files of processes below ``root``, each with 5 open descriptors, on a machine booted at 1000."""
    root.mkdir(exist_ok=True)
    (root / "stat").write_text("cpu 1 2\nbtime 1000\nprocesses 5\n")
    for pid, line in stats.items():
        (root / f"{pid}/task/{pid}").mkdir(parents=True, exist_ok=True)
        (root / f"{pid}/stat").write_text(line)
        (root / f"{pid}/fd").write_bytes(b"12345")  # its size is the number of descriptors, as in Linux
        (root / f"{pid}/limits").write_text(f"Limit  Soft Limit\nMax open files   {limit}   4096   files\n")
        children = [other for other, theirs in stats.items() if theirs.rpartition(")")[2].split()[1] == str(pid)]
        if lists:
            (root / f"{pid}/task/{pid}/children").write_text("".join(f"{child} " for child in children))
    return root


def reap(root: Path, pid: int, parent: str) -> None:
    """Remove a process from the tree, and write this line for its parent."""
    (root / f"{MASTER}/stat").write_text(parent)
    (root / f"{MASTER}/task/{MASTER}/children").write_text("")
    (root / f"{pid}/stat").unlink()


@linux
@pytest.mark.system
def test_cpu_time_never_decreases_while_children_are_reaped_and_ends_at_the_truth(tmp_path: Path) -> None:
    seen: list[float | None] = []
    with started([sys.executable, "-c", STORM], tmp_path) as server:
        deadline = time.monotonic() + 60
        while not server.text().endswith("\n"):
            seen.append(known(server.process.pid).cpu_seconds)
            assert time.monotonic() < deadline, seen[-5:]
        last = known(server.process.pid).cpu_seconds
        truth = float(server.text().split()[1])
    told = [seconds for seconds in seen if seconds is not None]
    assert [] == [(before, after) for before, after in pairwise([*told, last or 0.0]) if after < before]
    assert len(told) > 0.9 * len(seen)
    assert truth > 60 * 0.037
    # No tick of the ended processes is lost. The difference is the rounding of the remaining process's four numbers.
    assert truth - 4 * TICK < (last or 0.0) < truth + TICK


@linux
@pytest.mark.system
def test_sums_are_over_the_master_its_workers_and_their_subprocesses(tmp_path: Path) -> None:
    with started([sys.executable, "-c", FAMILY], tmp_path) as server:
        wait_until(lambda: up(server, 3), "all are up")
        main = psutil.Process(server.process.pid)
        everyone = [main, *main.children(recursive=True)]
        now = known(main.pid)

        assert 4 == len(everyone)
        assert 2 == now.workers
        assert 5 == now.threads == sum(process.num_threads() for process in everyone)
        assert sum(process.memory_info().vms for process in everyone) == now.virtual_bytes
        assert sum(process.memory_info().rss for process in everyone) == pytest.approx(now.resident_bytes, rel=0.02)
        largest = max(process.memory_info().rss for process in main.children())
        assert largest == pytest.approx(now.largest_worker_bytes, rel=0.02)
        assert now.largest_worker_bytes > 64_000_000
        assert sum(process.num_fds() for process in everyone) == now.open_descriptors
        assert sum(process.rlimit(psutil.RLIMIT_NOFILE)[0] for process in everyone) == now.descriptor_limit
        assert 0.63 == now.descriptor_share
        assert main.create_time() == pytest.approx(now.started, abs=2 * TICK)


@linux
@pytest.mark.system
def test_a_zombie_has_used_cpu_but_is_no_worker(tmp_path: Path) -> None:
    with started([sys.executable, "-c", ZOMBIE], tmp_path) as server:
        wait_until(lambda: up(server), "the child has ended")
        now = known(server.process.pid)
        own = sum(psutil.Process(server.process.pid).cpu_times()[:2])

        assert 0 == now.workers
        assert 1 == now.threads
        assert now.cpu_seconds is not None
        assert now.cpu_seconds - own > 0.2 - 3 * TICK


@linux
@pytest.mark.system
def test_the_child_of_a_thread_is_a_worker(tmp_path: Path) -> None:
    with started([sys.executable, "-c", THREAD], tmp_path) as server:
        wait_until(lambda: up(server), "the thread has forked")
        assert 1 == known(server.process.pid).workers


@linux
def test_a_process_alone_is_its_own_largest_worker(tmp_path: Path) -> None:
    with started([sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"], tmp_path) as server:
        wait_until(lambda: up(server), "it is up")
        now = known(server.process.pid)

        assert 0 == now.workers
        assert 0 < now.largest_worker_bytes == now.resident_bytes


@linux
def test_a_process_that_has_ended_has_no_figures(tmp_path: Path) -> None:
    with started([sys.executable, "-c", "import signal; signal.pause()"], tmp_path) as server:
        assert figures(server.process.pid) is not None
        server.stop(signal.SIGKILL)
        assert None is figures(server.process.pid)


def test_without_proc_there_are_no_figures(tmp_path: Path) -> None:
    assert None is figures(os.getpid(), tmp_path / "none")


@pytest.mark.parametrize("lists", [True, False], ids=["lists of children", "a kernel without them"])
def test_every_figure_has_its_source(tmp_path: Path, lists: bool) -> None:
    stats = {
        1: stat(0, (900, 900, 900, 900)),
        MASTER: stat(1, (1, 2, 3, 4)),
        WORKER: stat(MASTER, (10, 20, 30, 40)),
        OTHER: stat(MASTER, (100, 200, 0, 0), "Z"),
        BELOW: stat(WORKER, (5000, 5000, 0, 0)),
    }
    page = os.sysconf("SC_PAGE_SIZE")

    # The ticks of children of a worker are left out: they would vanish if the worker ended first.
    expected = Figures(4.1, 9 * page, 3000, 3 * page, 15, 150, 0.1, 6, 1005.0, 1)
    assert expected == known(MASTER, tree(tmp_path / "proc", stats, lists=lists))


@pytest.mark.parametrize("name", ["a b", ") S 7 (", "((", "x) Z 0 0", "\n"])
def test_a_program_may_have_any_name(tmp_path: Path, name: str) -> None:
    stats = {MASTER: stat(1, name=name), WORKER: stat(MASTER, (7, 0, 0, 0), name=name)}
    now = known(MASTER, tree(tmp_path / "proc", stats))

    assert (1, 0.07) == (now.workers, now.cpu_seconds)


def count_reads(monkeypatch: pytest.MonkeyPatch, then: Callable[[int], None]) -> list[Path]:
    """Call ``then`` before each reading of a file, with the number of earlier readings."""
    reads: list[Path] = []
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        then(len(reads))
        reads.append(path)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    return reads


@pytest.mark.parametrize("moment", range(6))
def test_a_child_counts_once_whenever_it_is_reaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    root = tree(tmp_path / "proc", {MASTER: stat(1, (1, 0, 0, 0)), WORKER: stat(MASTER, (10, 20, 30, 40))})

    def step(number: int) -> None:
        if number == moment:
            reap(root, WORKER, stat(1, (1, 0, 40, 60)))

    reads = count_reads(monkeypatch, step)
    assert 1.01 == known(MASTER, root).cpu_seconds
    assert moment < len(reads)


@pytest.mark.parametrize("moment", range(5))
def test_a_child_whose_time_is_taken_over_before_it_vanishes_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    root = tree(tmp_path / "proc", {MASTER: stat(1), WORKER: stat(MASTER, (10, 20, 30, 40))})

    def step(number: int) -> None:
        if number == moment:
            (root / f"{WORKER}/stat").write_text(stat(MASTER, (10, 20, 30, 40), "X"))
            (root / f"{MASTER}/stat").write_text(stat(1, (0, 0, 40, 60)))

    count_reads(monkeypatch, step)
    # Replace the clock in this module only, because other threads sleep meanwhile.
    clock = SimpleNamespace(sleep=lambda _seconds: reap(root, WORKER, stat(1, (0, 0, 40, 60))))
    monkeypatch.setattr(processes, "time", clock)
    assert 1.0 == known(MASTER, root).cpu_seconds


def test_a_list_that_lacked_a_child_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "proc", {MASTER: stat(1), WORKER: stat(MASTER, (7, 0, 0, 0))})
    listed = root / f"{MASTER}/task/{MASTER}/children"
    listed.write_text("")

    def complete(number: int) -> None:
        if number == 2:
            listed.write_text(f"{WORKER} ")

    reads = count_reads(monkeypatch, complete)
    assert 0.07 == known(MASTER, root).cpu_seconds
    assert reads.count(listed) == 4


def test_a_child_that_is_being_reaped_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "proc", {MASTER: stat(1), WORKER: stat(MASTER, (7, 0, 0, 0), "X")})
    monkeypatch.setattr(
        processes, "time", SimpleNamespace(sleep=lambda _seconds: reap(root, WORKER, stat(1, (0, 0, 8, 0))))
    )

    assert 0.08 == known(MASTER, root).cpu_seconds


def test_no_cpu_time_is_better_than_a_wrong_one(tmp_path: Path) -> None:
    """A counter may have a gap, but a smaller value would look like a restart."""
    now = known(MASTER, tree(tmp_path / "proc", {MASTER: stat(1), WORKER: stat(MASTER, (7, 0, 0, 0), "X")}))

    assert (None, 0, 1000) == (now.cpu_seconds, now.workers, now.virtual_bytes)


def test_a_process_that_vanishes_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "proc",
        {MASTER: stat(1), WORKER: stat(MASTER), OTHER: stat(MASTER), BELOW: stat(OTHER), 301: stat(OTHER)},
    )
    (root / "301/limits").write_text("")  # Linux shows this between a process's exit and its end
    for gone in (f"{WORKER}/stat", f"{OTHER}/fd", f"{BELOW}/limits"):
        (root / gone).unlink()
    (root / f"{MASTER}/task/101").mkdir()  # a thread that ended before its children were listed
    now = known(MASTER, root)

    assert (1, 4000, 5, 50) == (now.workers, now.virtual_bytes, now.open_descriptors, now.descriptor_limit)


@linux
def test_before_linux_6_2_the_open_descriptors_are_listed(tmp_path: Path) -> None:
    root = tree(tmp_path / "proc", {MASTER: stat(1)})
    (root / f"{MASTER}/fd").unlink()
    (root / f"{MASTER}/fd").symlink_to(f"/proc/{os.getpid()}/task")  # another directory whose size is 0
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        expected = len(list(Path(f"/proc/{os.getpid()}/task").iterdir()))
        assert 2 <= expected == known(MASTER, root).open_descriptors
    finally:
        stop.set()
        thread.join()


def test_hidden_descriptors_leave_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "proc", {MASTER: stat(1), WORKER: stat(MASTER)})
    real = Path.stat

    def hidden(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path == root / f"{WORKER}/fd":
            raise PermissionError
        return real(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", hidden)
    now = known(MASTER, root)

    assert (None, None, None) == (now.open_descriptors, now.descriptor_limit, now.descriptor_share)
    assert (1, 2000) == (now.workers, now.virtual_bytes)


def test_a_hidden_boot_time_leaves_the_rest(tmp_path: Path) -> None:
    root = tree(tmp_path / "proc", {MASTER: stat(1)})
    (root / "stat").unlink()
    now = known(MASTER, root)

    assert (None, 1000) == (now.started, now.virtual_bytes)


def test_a_limit_of_zero_divides_nothing(tmp_path: Path) -> None:
    now = known(MASTER, tree(tmp_path / "proc", {MASTER: stat(1)}, limit=0))

    assert (5, 0) == (now.open_descriptors, now.descriptor_limit)
