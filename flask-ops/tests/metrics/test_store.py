"""The metrics store: exact while workers come and go, and no larger than the living workers need."""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import shutil
import signal
import statistics
import subprocess
import tempfile
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
from tests.namespaces import in_namespace
from tests.process import BIN, DEADLINE, PROJECT, Answer, Server, clean_environ, running, started, wait_until
from tests.servers import COMMANDS, serve
from tests.threads import meanwhile

pytestmark = pytest.mark.system

BROKEN = (OSError, http.client.HTTPException)
"""Errors that a client gets when its worker is killed."""
RECYCLED = int(os.environ.get("RECYCLED", "30"))
ROUNDS = int(os.environ.get("ROUNDS", "2"))
FREE = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2"}


def store_of(directory: Path) -> Path:
    (store,) = (directory / "tmp").glob("service-metrics-*")
    return store


def owners_in(store: Path) -> set[str]:
    return {path.stem.rpartition("_")[2] for path in store.glob("*.db")}


def workers(server: Server) -> set[int]:
    return {child.pid for child in server.children()}


def wait_for_others(server: Server, before: set[int], count: int = 2) -> None:
    wait_until(
        lambda: len(workers(server)) == count and before.isdisjoint(workers(server)), "all workers are other ones"
    )


class Load:
    """Requests from some threads, one after the other in each, and scrapes that check that counts only rise."""

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
            except BROKEN:  # a killed worker has closed that connection
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
    """No sample is lost, counted twice or decreases, and no ended worker leaves a file."""
    options = ["--max-requests=20", "--max-requests-jitter=5"]
    with serve("gunicorn", tmp_path, {"SERVICE_LOG_LEVEL": "info"}, options) as server:
        load = Load(server)
        with load.running():
            wait_until(lambda: exits(server, "recycled") >= RECYCLED, f"{RECYCLED} recycled workers", 30 + RECYCLED)

        assert {200} == set(load.answered)
        load.assert_exact()
        # Master and two workers, and two more slots while old and new workers overlap.
        assert len(owners_in(store_of(tmp_path))) <= 5
        ratio = scrape_cost(server, tmp_path / "fresh")
        print(f"{RECYCLED} recycled workers: a scrape takes {ratio:.2f} times a fresh one's")  # noqa: T201 - quoted
        assert RECYCLED < 2000 or ratio <= 1.2


def scrape_cost(old: Server, directory: Path) -> float:
    """Return the time of a scrape of ``old``, divided by the time of a fresh server.

    Both are medians, measured in turns.
    """
    directory.mkdir()
    seconds: dict[Server, list[float]] = {old: []}
    with serve("gunicorn", directory) as fresh:
        seconds[fresh] = []
        for _ in range(20):  # the time depends on the number of series, so create the load's series in both workers
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
        # A worker's live gauges are removed after the master has reaped it.
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
        # At five moments, at most the requests of three clients were in flight. Each may be sent and not yet counted,
        # or counted and not yet sent.
        wait_until(lambda: load.counted() >= load.answered[200] - 3 * 5, "all others are counted")
        assert load.counted() <= sum(load.answered.values())


def test_the_next_master_goes_on_with_the_same_store(tmp_path: Path) -> None:
    """After SIGUSR2, old and new master serve together. The sums stay right in both, and after the old one ends."""
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


def test_a_successor_survives_the_damaged_file_of_the_one_before(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        server.get("/")
        before = workers(server)
        for path in store_of(tmp_path).glob("counter_*.db"):
            path.write_bytes(b"\xff" * 100)
        for pid in before:
            with contextlib.suppress(ProcessLookupError):  # the worker has ended because its file was truncated
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
        with running(COMMANDS["gunicorn"], tmp_path, env) as server:
            server.get("/")
            wait_until(lambda: value(scrape(server), "flask_http_request_total", route="/") == 1, "one request")


def test_a_store_that_cannot_be_written_ends_the_start_with_one_line(tmp_path: Path) -> None:
    env = {**FREE, "PROMETHEUS_MULTIPROC_DIR": "/proc/no-such-place"}
    with started([BIN / "gunicorn"], tmp_path, env) as server:
        assert 73 == server.process.wait(DEADLINE)
        assert "metrics store cannot be written" == server.line(level="critical")["event"]
        assert "Traceback" not in server.text()


@pytest.mark.parametrize("name", ["gunicorn", "waitress", "uwsgi"])
def test_a_store_that_another_user_can_change_ends_the_start_with_one_line(name: str, tmp_path: Path) -> None:
    """A link in it would make the service overwrite any file of its own user."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    faults = {"open": "other users may write to it, its mode is 0777", "linked": "lock in it is a link"}
    if os.geteuid() == 0:
        faults["theirs"] = "it belongs to the user 1, not to 0"
    for kind, reason in faults.items():
        directory = tmp_path / kind
        directory.mkdir()
        (directory / ("slot-s1" if kind == "theirs" else "lock")).symlink_to(victim)
        if kind == "open":
            directory.chmod(0o777)
        elif kind == "theirs":
            os.chown(directory, 1, 1)
        env = {**FREE, "PROMETHEUS_MULTIPROC_DIR": str(directory), "SERVICE_ENV": "production"}
        command = [*COMMANDS[name], "--need-app"] if name == "uwsgi" else COMMANDS[name]
        with started(command, directory, env) as server:
            line = wait_until(lambda: server.lines(level="critical"), "the line")[0]
            assert ("metrics store is not safe", str(directory), reason) == (
                line["event"],
                line["directory"],
                line["reason"],
            )
            assert "PROMETHEUS" not in line["hint"]
            returned = server.process.wait(DEADLINE)
            assert returned == 73 or (returned and name == "uwsgi")  # uWSGI ends with a code of its own
            assert "Traceback" not in server.text()
        assert "precious" == victim.read_text()


@pytest.mark.parametrize("name", ["gunicorn", "uwsgi"])
def test_what_a_worker_forks_counts_and_says_nothing_else(name: str, tmp_path: Path) -> None:
    """For example with multiprocessing.

    Two processes in one file would lose counts, and a child's start sets its gauges to 0.
    """
    with serve(name, tmp_path, ready="/readyz") as server:
        for _ in range(10):
            assert "5" == server.get("/fork").body.decode()

        assert 10 * (5 + 1) == value(scrape(server), "sample_greetings_total")
        # A master, two workers, the sums, and the counts of the master before it served.
        wait_until(lambda: len(owners_in(store_of(tmp_path))) <= 5, "the files of the children are removed")
        assert 1 == value(scrape(server), "service_ready")
        assert 1 == value(scrape(server), "service_health_check_up", check="storage")


@pytest.mark.parametrize("survivor", ["old", "new"])
def test_a_master_that_is_killed_beside_another_one_leaves_nothing(survivor: str, tmp_path: Path) -> None:
    """Otherwise, its live gauges and its readiness would stay in the sums forever."""
    with serve("gunicorn", tmp_path, ready="/readyz") as server:
        server.process.send_signal(signal.SIGUSR2)
        successor = wait_until(lambda: new_master(server), "the new master")
        assert successor is not None
        threads = partial(gauge, server, "service_worker_threads")
        wait_until(lambda: threads() == 16, "four workers")
        killed, other = server.process.pid, successor
        if survivor == "old":
            killed, other = successor.pid, psutil.Process(server.process.pid)
        try:
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: threads() == 8, "two workers")
            wait_until(lambda: gauge(server, "service_workers") == 2, "two workers")
            assert 200 == server.manage("/readyz").status
        finally:
            if survivor == "new":
                other.terminate()
                other.wait(DEADLINE)


def gauge(server: Server, name: str) -> float:
    with contextlib.suppress(*BROKEN):  # a master that is ending
        return value(server.manage("/metrics").body.decode(), name)
    return -1


def test_two_masters_beside_each_other_are_one_server(tmp_path: Path) -> None:
    """Either master may answer a scrape. If their CPU times differed, Prometheus would see resets."""
    with serve("gunicorn", tmp_path, ready="/readyz") as server:
        for _ in range(300):
            server.get("/whoami")
        started_at = gauge(server, "process_start_time_seconds")
        server.process.send_signal(signal.SIGUSR2)
        successor = wait_until(lambda: new_master(server), "the new master")
        assert successor is not None
        try:
            wait_until(lambda: gauge(server, "service_workers") == 4, "four workers")
            seen, pids = 0.0, set()
            for _ in range(40):
                pids.add(server.manage("/info").json()["pid"])
                text = server.manage("/metrics").body.decode()
                assert 4 == value(text, "service_workers")
                assert started_at == value(text, "process_start_time_seconds")
                assert seen <= value(text, "process_cpu_seconds_total")
                seen = value(text, "process_cpu_seconds_total")
            assert {server.process.pid, successor.pid} == pids
        finally:
            successor.terminate()
            successor.wait(DEADLINE)


FULL = """
mount -t tmpfs -o size=512k tmpfs /mnt
TMPDIR=/mnt exec {program}
"""


def test_without_room_for_the_store_the_start_ends_with_one_line(tmp_path: Path) -> None:
    """The test uses a tmpfs in its own namespace."""
    with started(in_namespace(FULL.format(program=BIN / "gunicorn")), tmp_path, FREE) as server:
        assert 73 == server.process.wait(DEADLINE)
        line = server.line(level="critical")
        assert ("metrics store cannot be written", "/mnt", "No space left on device") == (
            line["event"],
            str(Path(line["directory"]).parent),
            line["reason"],
        )


FILLED = """
mount -t tmpfs -o size=4m tmpfs /mnt
cd {root}; TMPDIR=/mnt exec {program} -c '
import os
from flask_ops.metrics.store import STORE
STORE.make()
from prometheus_client import Counter
counter = Counter("filled", "Filled.", ["number"])
counter.labels("first").inc()
try:
    with open("/mnt/all", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
except OSError:
    pass
try:
    for number in range(10_000):
        counter.labels(str(number)).inc()
except OSError as error:
    print("stopped:", error.strerror)
counter.labels("first").inc()
print("goes on:", counter.labels("first")._value.get())
'
"""


def test_a_full_disk_kills_no_process_and_counting_continues(tmp_path: Path) -> None:
    """Writing to a hole of a mapped file on a full disk raises SIGBUS."""
    command = in_namespace(FILLED.format(root=PROJECT, program=BIN / "python"))
    with started(command, tmp_path) as process:
        assert 0 == process.process.wait(DEADLINE)
        assert "stopped: No space left on device\ngoes on: 2.0\n" == process.text()


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    directory, temporary = tmp_path / "mine", tmp_path / "tmp"
    others = [directory / "app.db", directory / "report_1.json", directory / "damaged" / "mine"]
    others += [temporary / "service-metrics-notes" / "text"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    os.utime(temporary / "service-metrics-notes", (0, 0))
    for env in ({"PROMETHEUS_MULTIPROC_DIR": str(directory)}, {}):
        with running([BIN / "gunicorn"], tmp_path, {**FREE, **env}) as server:
            assert 0 == value(scrape(server), "service_metrics_store_errors_total")

    assert ["content"] * 4 == [path.read_text() for path in others]


def test_a_relative_directory_is_one_of_where_the_server_was_started(tmp_path: Path) -> None:
    options = ["--chdir", str(PROJECT), "--config", str(PROJECT / "gunicorn.conf.py")]
    env = {**FREE, "PROMETHEUS_MULTIPROC_DIR": "metrics", "PYTHONPATH": f"{PROJECT}:{PROJECT.parents[1]}"}
    with running([*COMMANDS["gunicorn"], *options], tmp_path, env, cwd=tmp_path) as server:
        server.get("/")
        wait_until(lambda: value(scrape(server), "flask_http_request_total", route="/") == 1, "one request")


@pytest.mark.parametrize("name", ["gunicorn", "waitress", "uwsgi"])
def test_a_directory_of_the_user_counts_under_every_server(name: str, tmp_path: Path) -> None:
    """This includes metrics that views create at import, and the values of gauges that they set there.

    A labelled counter that they create starts at 0.
    """
    with serve(name, tmp_path, {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "mine")}) as server:
        for _ in range(5):
            server.get("/greet")

        assert 5 == value(scrape(server), "sample_greetings_total")
        assert 3 == value(scrape(server), "sample_shelves")
        assert 'sample_orders_total{kind="gift"} 0.0\n' in scrape(server)


@pytest.mark.parametrize("name", ["waitress", "uwsgi"])
def test_two_servers_in_one_directory_count_both(name: str, tmp_path: Path) -> None:
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "mine")}
    (tmp_path / "other").mkdir()
    with serve(name, tmp_path, env) as one, serve(name, tmp_path / "other", env) as two:
        for _ in range(10):
            one.get("/whoami")
            two.get("/whoami")

        wait_until(lambda: value(scrape(one), "flask_http_request_total", route="/whoami") == 20, "all requests")


def test_a_command_beside_a_server_leaves_nothing_in_its_directory(tmp_path: Path) -> None:
    env = {**FREE, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "mine"), "PYTHONPATH": f"{PROJECT}:{PROJECT.parents[1]}"}
    with running(COMMANDS["gunicorn"], tmp_path, env, ready="/readyz") as server:
        wait_until(lambda: gauge(server, "service_worker_threads") == 8, "both workers")
        subprocess.run(
            [BIN / "flask", "--app", "service.app", "routes"],
            env={**clean_environ(), **env},
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        assert 8 == gauge(server, "service_worker_threads")
        assert 200 == server.manage("/readyz").status


def test_a_chosen_store_of_root_belongs_to_the_user_of_its_workers(tmp_path: Path) -> None:
    """It is made in the first start, and is accepted in the second one. A third user may not own it."""
    if os.geteuid() != 0:
        pytest.skip("only root can start workers as somebody else")
    script = "import sys; from flask_ops.metrics.store import STORE; STORE.make(workers_change_user=True); "
    script += "STORE.give_to(int(sys.argv[1]), 1)"
    env = {**clean_environ(), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "store")}
    for user, refused in (("1", ""), ("1", ""), ("2", "it belongs to the user 1, not to 2")):
        done = subprocess.run(
            [BIN / "python", "-c", script, user], env=env, cwd=PROJECT, capture_output=True, text=True, check=False
        )
        assert refused in done.stderr if refused else done.stderr == ""


def counted_in_store(server: Server) -> float:
    """Ask the master: if the store lacks a metric, a worker shows its own values."""
    answer = server.manage("/metrics")
    if answer.status != 200:  # there is no folder
        return 0
    return value(answer.body.decode(), "flask_http_request_total", route="/whoami")


def test_a_living_worker_replaces_a_file_that_was_set_aside(tmp_path: Path) -> None:
    """Otherwise, it would count for the rest of its life in a file that no scrape reads."""
    with serve("gunicorn", tmp_path, {"WEB_CONCURRENCY": "1"}, ready="/readyz") as server:
        for path in store_of(tmp_path).glob("counter_*.db"):
            with path.open("r+b") as file:
                file.write(b"\xff" * 16)
        errors = {value(scrape(server), "service_metrics_store_errors_total") for _ in range(5)}
        assert 1 == len(errors)
        wait_until(lambda: [*errors] == [len(server.lines("damaged metrics file set aside"))] != [0], "each is logged")

        def counts() -> bool:
            server.get("/whoami")
            return counted_in_store(server) > 0

        wait_until(counts, "it counts again")


def test_a_living_worker_creates_a_removed_store_again(tmp_path: Path) -> None:
    """For example, a job that cleans /tmp removes it."""
    with serve("gunicorn", tmp_path, {"WEB_CONCURRENCY": "1"}, ready="/readyz") as server:
        server.get("/whoami")
        shutil.rmtree(store_of(tmp_path).rename(tmp_path / "removed"))

        def counts() -> bool:
            assert 200 == server.get("/whoami").status
            return counted_in_store(server) > 0

        wait_until(counts, "it counts again")
        assert 3 == gauge(server, "sample_shelves")
        assert [] == server.lines(level="critical")
        assert "Error handling request" not in server.text()


def test_workers_of_another_user_may_write_and_scrape() -> None:
    """So may the children that they fork."""
    if os.geteuid() != 0:
        pytest.skip("only root can start workers as somebody else")
    owner = pwd.getpwnam("nobody")
    script = f"""if True:
        import encodings.ascii, os  # that user may not be able to import
        from flask_ops.core import multiprocess
        from flask_ops.metrics import slots, store, sums
        store.STORE.make()
        from prometheus_client import Counter
        counter = Counter("a", "A.")
        store.STORE.settle(store.MASTER)
        store.STORE.give_to({owner.pw_uid}, {owner.pw_gid})
        slot = store.STORE.slot_for_worker(())
        os.setgid({owner.pw_gid})
        os.setuid({owner.pw_uid})
        store.STORE.become_worker(slot)
        counter.inc()
        if not (child := os.fork()):
            counter.inc()
            os._exit(0)
        assert (child, 0) == os.waitpid(child, 0)
        store.STORE.fold_ended()
        counted, = (metric for metric in sums.Sums(multiprocess.directory()).collect() if metric.name == "a")
        print(counted.samples[0].value, slots.signed(multiprocess.directory(), store.WORKER) == {{os.getpid()}})
    """
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        done = subprocess.run(
            [BIN / "python", "-c", script],
            # Not measured: that user could not write the results.
            env={**{n: v for n, v in clean_environ().items() if not n.startswith("COVERAGE")}, "TMPDIR": place},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ("2.0 True\n", "") == (done.stdout, done.stderr)
