"""The metrics store: exact over workers that come and go, as large as the workers alive."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.exposition import scrape, value
from tests.process import BIN, DEADLINE, Answer, Server, running, started, wait_until
from tests.servers import serve
from tests.threads import meanwhile

BROKEN = (OSError, http.client.HTTPException)
"""What a client meets whose worker was killed."""
RECYCLED = int(os.environ.get("RECYCLED", "30"))
ROUNDS = int(os.environ.get("ROUNDS", "2"))
FREE = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2"}


def store_of(directory: Path) -> Path:
    (store,) = (directory / "tmp").glob("service-metrics-*")
    return store


def workers(server: Server) -> set[int]:
    return {child.pid for child in server.children()}


def wait_for_others(server: Server, before: set[int], count: int = 2) -> None:
    wait_until(
        lambda: len(workers(server)) == count and before.isdisjoint(workers(server)), "all workers are other ones"
    )


class Load:
    """Requests, one after the other, from some threads; and scrapes that see every count rise only."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answered: Counter[int] = Counter()
        self.decreased: list[tuple[float, float]] = []
        self.failed_scrapes: list[object] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                status = self.server.get("/whoami").status
            except BROKEN:
                status = 0
            with self._lock:
                self.answered[status] += 1

    def _scrape(self, ask: Callable[[str], Answer]) -> None:
        seen = 0.0
        while not self._stop.is_set():
            try:
                answer = ask("/metrics")
            except BROKEN:  # that connection went down with a killed worker
                continue
            if answer.status != 200:
                self.failed_scrapes.append(answer)
                continue
            now = value(answer.body.decode(), "flask_http_request_total", route="/whoami")
            if now < seen:
                self.decreased.append((seen, now))
            seen = now

    @contextmanager
    def running(self) -> Iterator[None]:
        scrapers = [partial(self._scrape, ask) for ask in (self.server.get, self.server.manage)]
        with meanwhile([self._ask, self._ask, self._ask, *scrapers], self._stop):
            yield

    def counted(self) -> float:
        return value(scrape(self.server), "flask_http_request_total", route="/whoami", status="200")

    def assert_exact(self) -> None:
        assert [] == self.decreased
        assert [] == self.failed_scrapes
        wait_until(lambda: self.counted() >= self.answered[200], "all answers are counted")
        assert self.answered[200] == self.counted()


@pytest.mark.timeout(3600)
def test_recycled_workers_go_on_with_the_files_of_those_before(tmp_path: Path) -> None:
    """No sample is lost, counted twice or seen to decrease, and no file is left by a worker that ended."""
    options = ["--max-requests=20", "--max-requests-jitter=5"]
    with serve("gunicorn", tmp_path, {"SERVICE_LOG_LEVEL": "info"}, options) as server:
        load = Load(server)
        with load.running():
            wait_until(lambda: exits(server, "recycled") >= RECYCLED, f"{RECYCLED} recycled workers", 30 + RECYCLED)

        assert {200} == set(load.answered)
        load.assert_exact()
        # Master and two workers, and two more slots for the moments in which old and new ones overlap.
        owners = {path.stem.rpartition("_")[2] for path in store_of(tmp_path).glob("*.db")}
        assert len(owners) <= 5
        ratio = scrape_cost(server, tmp_path / "fresh")
        print(f"{RECYCLED} recycled workers: a scrape takes {ratio:.2f} times a fresh one's")  # noqa: T201 - quoted
        assert RECYCLED < 2000 or ratio <= 1.2


def scrape_cost(old: Server, directory: Path) -> float:
    """Return the time of a scrape of ``old`` to that of a server just started: medians, taken in turns."""
    directory.mkdir()
    seconds: dict[Server, list[float]] = {old: []}
    with serve("gunicorn", directory) as fresh:
        seconds[fresh] = []
        for _ in range(20):  # a scrape costs what it has series: those that the load has made, in both workers
            fresh.get("/whoami")
            fresh.get("/metrics")
        for _ in range(101):
            for server, taken in seconds.items():
                begin = time.perf_counter()
                server.manage("/metrics")
                taken.append(time.perf_counter() - begin)
        return statistics.median(seconds[old]) / statistics.median(seconds[fresh])


def test_reload_and_scaling_lose_nothing(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {"SERVICE_LOG_LEVEL": "info"}) as server:
        load = Load(server)
        with load.running():
            for _ in range(ROUNDS):
                before = workers(server)
                server.process.send_signal(signal.SIGHUP)
                wait_for_others(server, before)
            server.process.send_signal(signal.SIGTTIN)
            wait_until(lambda: len(workers(server)) == 3, "three workers")
            server.process.send_signal(signal.SIGTTOU)
            wait_until(lambda: len(workers(server)) == 2, "two workers")
            wait_until(lambda: exits(server, "scaled") == 1, "it is counted")

        assert {200} == set(load.answered)
        load.assert_exact()
        assert 2 * ROUNDS == exits(server, "reload")
        print(f"{ROUNDS} reloads: {load.answered[200]} requests answered, none lost")  # noqa: T201 - quoted
        files = len(list(store_of(tmp_path).glob("*.db")))
        before = workers(server)
        server.process.send_signal(signal.SIGHUP)
        wait_for_others(server, before)
        # Momentary values of a worker go when the master has seen its end.
        wait_until(lambda: len(list(store_of(tmp_path).glob("*.db"))) <= files, "no more files than before")


def test_kill_9_costs_at_most_what_was_in_flight(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {"SERVICE_LOG_LEVEL": "info"}) as server:
        load = Load(server)
        with load.running():
            for count in range(1, 6):
                victim = min(workers(server))
                os.kill(victim, signal.SIGKILL)
                wait_until(lambda: exits(server, "signal") == count, "it is counted")  # noqa: B023 - called at once
                wait_until(lambda: len(workers(server)) == 2, "a successor")

        assert [] == load.decreased
        assert [] == load.failed_scrapes
        # In flight were at most the requests of three clients, at five moments: their answers may be
        # sent and not yet counted, or counted and not yet sent.
        wait_until(lambda: load.counted() >= load.answered[200] - 3 * 5, "all others are counted")
        assert load.counted() <= sum(load.answered.values())


def test_the_next_master_goes_on_with_the_same_store(tmp_path: Path) -> None:
    """SIGUSR2: old and new master serve side by side, and the sums hold on both sides and after."""
    with serve("gunicorn", tmp_path, {"SERVICE_LOG_LEVEL": "info"}) as server:
        load = Load(server)
        with load.running():
            server.process.send_signal(signal.SIGUSR2)
            successor = wait_until(lambda: new_master(server), "the new master")
            assert successor is not None
            wait_until(lambda: len(successor.children()) == 2, "its workers")
            store = store_of(tmp_path)
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(DEADLINE)
            try:
                wait_until(lambda: load.counted() > 0, "the new one answers")
            except BaseException:
                successor.kill()
                raise
        try:
            assert [] == load.decreased
            assert [] == load.failed_scrapes
            wait_until(lambda: load.counted() >= load.answered[200], "all answers are counted")
            assert store.is_dir()
        finally:
            successor.terminate()
            successor.wait(DEADLINE)
        assert not store.exists()


def new_master(server: Server) -> psutil.Process | None:
    for child in server.children():
        if len(child.children()) >= 1:
            return child
    return None


def exits(server: Server, reason: str) -> float:
    with contextlib.suppress(*BROKEN):
        return value(scrape(server), "service_worker_exits_total", reason=reason)
    return 0


def test_a_worker_that_is_silent_for_too_long_is_counted_as_such(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, options=["--timeout=2"]) as server:
        # One that serves: Gunicorn waits without end for the first sign of life of a worker.
        os.kill(server.get("/whoami").json()["pid"], signal.SIGSTOP)

        wait_until(lambda: exits(server, "timeout") == 1, "the exit")


def test_a_worker_that_crashes_is_counted_as_such(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        os.kill(min(workers(server)), signal.SIGSEGV)

        wait_until(lambda: exits(server, "crash") == 1, "the exit")


def test_a_damaged_file_costs_no_scrape_and_is_told_once(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        server.get("/")
        (store_of(tmp_path) / "counter_99.db").write_bytes(b"garbage" * 100)

        for _ in range(5):
            assert 1 == value(scrape(server), "service_metrics_store_errors_total")

        server.line("metrics file is damaged and was set aside", file="counter_99.db")


def test_a_successor_survives_the_damaged_file_of_the_one_before(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        server.get("/")
        before = workers(server)
        for path in store_of(tmp_path).glob("counter_*.db"):
            path.write_bytes(b"\xff" * 100)
        for pid in before:
            with contextlib.suppress(ProcessLookupError):  # who wrote into a file that was cut has ended already
                os.kill(pid, signal.SIGKILL)
        wait_for_others(server, before)

        assert 200 == server.get("/").status
        wait_until(lambda: value(scrape(server), "flask_http_request_total", route="/") >= 1, "it counts")


def test_what_a_killed_server_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    shared = {**FREE, "TMPDIR": str(tmp_path)}
    with started([BIN / "gunicorn"], tmp_path / "a", shared) as killed:
        wait_until(lambda: len(killed.children()) == 2, "workers")
        children = killed.children()
        killed.process.kill()
        killed.process.wait(DEADLINE)
        psutil.wait_procs(children, DEADLINE)
    (left,) = tmp_path.glob("service-metrics-*")

    with running([BIN / "gunicorn"], tmp_path / "a", shared) as living:
        (mine,) = tmp_path.glob("service-metrics-*")
        assert left != mine
        with running([BIN / "gunicorn"], tmp_path / "b", shared):
            assert mine.is_dir()
            assert 2 == len(list(tmp_path.glob("service-metrics-*")))
        assert 200 == living.get("/metrics").status


def test_a_directory_of_the_user_is_emptied_of_a_dead_servers_metrics(tmp_path: Path) -> None:
    directory = tmp_path / "mine" / "metrics"
    env = {**FREE, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    for _ in range(2):
        with running([BIN / "gunicorn"], tmp_path, env) as server:
            server.get("/")
            wait_until(lambda: value(scrape(server), "flask_http_request_total", route="/") == 1, "one request")


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "TMPDIR"])
def test_a_store_that_cannot_be_written_ends_the_start_with_one_line(variable: str, tmp_path: Path) -> None:
    place = "/proc/no-such-place" if variable != "TMPDIR" else str(tmp_path / "missing")
    with started([BIN / "gunicorn"], tmp_path, {**FREE, variable: place}) as server:
        if variable == "TMPDIR":  # Python then looks for another temporary directory, and finds one
            wait_until(server.listening_ports, "it serves")
            return
        assert 73 == server.process.wait(DEADLINE)
        assert "metrics store cannot be written" == server.line(level="critical")["event"]
        assert "Traceback" not in server.text()


def test_children_of_a_worker_do_not_write_into_its_files(tmp_path: Path) -> None:
    """With multiprocessing, say: two processes in one file would lose each other's counts."""
    with serve("gunicorn", tmp_path) as server:
        for _ in range(10):
            assert "5" == server.get("/fork").body.decode()

        assert 10 * (5 + 1) == value(scrape(server), "sample_greetings_total")
