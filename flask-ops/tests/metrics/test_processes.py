from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from flask_ops.metrics.processes import ProcessMetrics
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


RESIDENT, VIRTUAL, THREADS = "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_threads"
CPU, STARTED = "process_cpu_seconds_total", "process_start_time_seconds"
WORKERS, LARGEST = "service_workers", "service_worker_memory_max_bytes"
OPEN, LIMIT, SHARE = "process_open_fds", "process_max_fds", "service_process_open_fds_max_ratio"


def read(metrics: ProcessMetrics) -> dict[str, float]:
    """Return the value of each sample of one scrape."""
    return {sample.name: sample.value for metric in metrics.collect() for sample in metric.samples}


def figures(main: int, proc: Path = Path("/proc")) -> dict[str, float]:
    """Return the values of the process ``main`` and its descendants."""
    return read(ProcessMetrics(lambda: main, proc=proc))


def up(server: Server, times: int = 1) -> bool:
    """Return True if exactly ``times`` processes have reported that they are up."""
    return server.text().count("up") == times


def stat(parent: int, ticks: tuple[int, int, int, int] = (0, 0, 0, 0), state: str = "S", name: str = "gunicorn") -> str:
    """Return the line of a process with 2 threads, 1000 bytes and 3 pages, started 500 ticks after boot."""
    used = " ".join(map(str, ticks))
    return f"1 ({name}) {state} {parent} 1 1 0 -1 0 0 0 0 0 {used} 20 0 2 0 500 1000 3 99 0"


def tree(root: Path, stats: Mapping[int, str], *, lists: bool = True, limit: int = 50) -> Path:
    """Create files of processes below ``root``, each with 5 open descriptors."""
    root.mkdir(exist_ok=True)
    for pid, line in stats.items():
        (root / f"{pid}/task/{pid}").mkdir(parents=True, exist_ok=True)
        (root / f"{pid}/stat").write_text(line)
        (root / f"{pid}/fd").write_bytes(b"12345")  # its size is the number of descriptors, as in Linux
        (root / f"{pid}/limits").write_text(f"Limit  Soft Limit\nMax open files   {limit}   4096   files\n")
        children = [other for other, theirs in stats.items() if theirs.rpartition(")")[2].split()[1] == str(pid)]
        if lists:
            (root / f"{pid}/task/{pid}/children").write_text("".join(f"{child} " for child in children))
    return root


@linux
@pytest.mark.system
def test_cpu_time_never_decreases_while_children_are_reaped_and_ends_at_the_truth(tmp_path: Path) -> None:
    with started([sys.executable, "-c", STORM], tmp_path) as server:
        metrics = ProcessMetrics(lambda: server.process.pid)
        seen: list[float] = []
        deadline = time.monotonic() + 60
        while not server.text().endswith("\n"):
            seen.append(read(metrics)[CPU])
            assert time.monotonic() < deadline, seen[-5:]
        last = read(metrics)[CPU]
        truth = float(server.text().split()[1])
    assert [] == [(before, after) for before, after in pairwise([*seen, last]) if after < before]
    assert truth > 60 * 0.037
    # No tick of the ended processes is lost. The difference is the rounding of the remaining process's four numbers.
    assert truth - 4 * TICK < last < truth + TICK


@linux
@pytest.mark.system
def test_sums_are_over_the_master_its_workers_and_their_subprocesses(tmp_path: Path) -> None:
    with started([sys.executable, "-c", FAMILY], tmp_path) as server:
        wait_until(lambda: up(server, 3), "all are up")
        main = psutil.Process(server.process.pid)
        everyone = [main, *main.children(recursive=True)]
        now = figures(main.pid)

        assert 4 == len(everyone)
        assert 2 == now[WORKERS]
        assert 5 == now[THREADS] == sum(process.num_threads() for process in everyone)
        assert sum(process.memory_info().vms for process in everyone) == now[VIRTUAL]
        assert sum(process.memory_info().rss for process in everyone) == pytest.approx(now[RESIDENT], rel=0.02)
        largest = max(process.memory_info().rss for process in main.children())
        assert largest == pytest.approx(now[LARGEST], rel=0.02)
        assert now[LARGEST] > 64_000_000
        assert sum(process.num_fds() for process in everyone) == now[OPEN]
        assert sum(process.rlimit(psutil.RLIMIT_NOFILE)[0] for process in everyone) == now[LIMIT]
        assert 0.63 == now[SHARE]
        assert main.create_time() == pytest.approx(now[STARTED], abs=2 * TICK)


@linux
@pytest.mark.system
def test_a_zombie_has_used_cpu_but_is_no_worker(tmp_path: Path) -> None:
    with started([sys.executable, "-c", ZOMBIE], tmp_path) as server:
        wait_until(lambda: up(server), "the child has ended")
        now = figures(server.process.pid)
        own = sum(psutil.Process(server.process.pid).cpu_times()[:2])

        assert (0, 1) == (now[WORKERS], now[THREADS])
        assert 0 < now[LARGEST] == now[RESIDENT]
        assert now[CPU] - own > 0.2 - 3 * TICK


@linux
@pytest.mark.system
def test_the_child_of_a_thread_is_a_worker(tmp_path: Path) -> None:
    with started([sys.executable, "-c", THREAD], tmp_path) as server:
        wait_until(lambda: up(server), "the thread has forked")
        assert 1 == figures(server.process.pid)[WORKERS]


@linux
def test_without_proc_or_after_the_end_there_are_no_metrics(tmp_path: Path) -> None:
    with started([sys.executable, "-c", "import signal; signal.pause()"], tmp_path) as server:
        assert {} != figures(server.process.pid)
        server.stop(signal.SIGKILL)
        assert {} == figures(server.process.pid)
    assert {} == figures(os.getpid(), tmp_path / "none")


@linux
@pytest.mark.parametrize("lists", [True, False], ids=["lists of children", "a kernel without them"])
def test_every_metric_has_its_source(tmp_path: Path, lists: bool) -> None:
    stats = {
        1: stat(0, (900, 900, 900, 900)),
        MASTER: stat(1, (1, 2, 3, 4)),
        WORKER: stat(MASTER, (10, 20, 30, 40)),
        OTHER: stat(MASTER, (100, 200, 0, 0), "Z"),
        BELOW: stat(WORKER, (5000, 5000, 0, 0)),
    }
    page = os.sysconf("SC_PAGE_SIZE")
    now = figures(MASTER, tree(tmp_path / "proc", stats, lists=lists))

    assert psutil.boot_time() + 5 == now.pop(STARTED)
    # The ticks of children of a worker are left out: they would vanish if the worker ended first.
    assert now == {
        CPU: 4.1,
        RESIDENT: 9 * page,
        VIRTUAL: 3000,
        LARGEST: 3 * page,
        OPEN: 15,
        LIMIT: 150,
        SHARE: 0.1,
        THREADS: 6,
        WORKERS: 1,
    }


@linux
def test_the_workers_may_be_named_and_an_older_master_is_the_main_process(tmp_path: Path) -> None:
    """After SIGUSR2, the new master is a child of the old one, and both have workers."""
    stats = {1: stat(0), MASTER: stat(1), WORKER: stat(MASTER), OTHER: stat(MASTER), BELOW: stat(OTHER)}
    metrics = ProcessMetrics(
        lambda: OTHER,
        serving=lambda: {WORKER, BELOW, 999},
        masters=lambda: {MASTER, OTHER},
        proc=tree(tmp_path / "proc", stats),
    )

    assert (2, 8) == tuple(read(metrics)[name] for name in (WORKERS, THREADS))


@linux
def test_a_program_may_have_any_name(tmp_path: Path) -> None:
    for number, name in enumerate(["a b", ") S 7 (", "((", "x) Z 0 0", "\n"]):
        stats = {MASTER: stat(1, name=name), WORKER: stat(MASTER, (7, 0, 0, 0), name=name)}
        now = figures(MASTER, tree(tmp_path / str(number), stats))

        assert (1, 0.07) == (now[WORKERS], now[CPU])


@linux
@pytest.mark.parametrize("moment", range(6))
def test_cpu_time_counts_a_child_once_whenever_it_is_reaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    root = tree(tmp_path / "proc", {MASTER: stat(1, (1, 0, 0, 0)), WORKER: stat(MASTER, (10, 20, 30, 40))})
    metrics = ProcessMetrics(lambda: MASTER, proc=root)
    assert 1.01 == read(metrics)[CPU]
    reads: list[Path] = []
    real = Path.read_bytes

    def reap(path: Path) -> bytes:
        if len(reads) == moment:
            (root / f"{MASTER}/stat").write_text(stat(1, (1, 0, 40, 60)))
            (root / f"{MASTER}/task/{MASTER}/children").write_text("")
            (root / f"{WORKER}/stat").unlink()
        reads.append(path)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", reap)
    assert 1.01 == read(metrics)[CPU]
    assert moment < len(reads)
    assert 1.01 == read(metrics)[CPU]


@linux
def test_the_cpu_time_of_another_main_process_may_be_smaller(tmp_path: Path) -> None:
    """Its start time is another one, too: Prometheus sees a restart."""
    mains = iter([MASTER, WORKER])
    stats = {MASTER: stat(1, (9, 0, 0, 0)), WORKER: stat(1, (7, 0, 0, 0))}
    metrics = ProcessMetrics(lambda: next(mains), proc=tree(tmp_path / "proc", stats))

    assert [0.09, 0.07] == [read(metrics)[CPU] for _ in range(2)]


@linux
def test_a_process_that_vanishes_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "proc",
        {MASTER: stat(1), WORKER: stat(MASTER), OTHER: stat(MASTER), BELOW: stat(OTHER), 301: stat(OTHER)},
    )
    (root / "301/limits").write_text("")  # Linux shows this between a process's exit and its end
    for gone in (f"{WORKER}/stat", f"{OTHER}/fd", f"{BELOW}/limits"):
        (root / gone).unlink()
    (root / f"{MASTER}/task/101").mkdir()  # a thread that ended before its children were listed
    now = figures(MASTER, root)

    assert (1, 4000, 5, 50) == tuple(now[name] for name in (WORKERS, VIRTUAL, OPEN, LIMIT))


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
        assert 2 <= expected == figures(MASTER, root)[OPEN]
    finally:
        stop.set()
        thread.join()


@linux
def test_hidden_descriptors_leave_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "proc", {MASTER: stat(1), WORKER: stat(MASTER)})
    real = Path.stat

    def hidden(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path == root / f"{WORKER}/fd":
            raise PermissionError
        return real(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", hidden)
    now = figures(MASTER, root)

    assert not now.keys() & {OPEN, LIMIT, SHARE}
    assert (1, 2000) == (now[WORKERS], now[VIRTUAL])


@linux
def test_a_limit_of_zero_divides_nothing(tmp_path: Path) -> None:
    now = figures(MASTER, tree(tmp_path / "proc", {MASTER: stat(1)}, limit=0))

    assert (5, 0) == (now[OPEN], now[LIMIT])
