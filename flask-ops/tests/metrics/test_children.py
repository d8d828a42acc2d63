"""Child processes of every kind: their counts count, their gauges do not, and their files do not stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from flask_ops.metrics import ended, store_files
from tests.attach.servers import ATTACHED, LOOPBACK, attached
from tests.exposition import value
from tests.metrics.test_sums import scrape, write
from tests.process import BIN, Server, wait_until
from tests.servers import UWSGI
from tests.threads import meanwhile

CHILDREN = int(os.environ.get("CHILDREN", "10"))
APPLICATION = "tests.applications.children:app"
COMMANDS: dict[str, list[str | Path]] = {
    "gunicorn": [*ATTACHED, LOOPBACK, "-w", "2", APPLICATION],
    "waitress": [BIN / "python", "-m", "flask_ops", "serve", APPLICATION],
    "uwsgi": [*UWSGI, "--module", "tests.applications.uwsgi_entry:application"],
}
STARTS = ("fork", "spawn", "forkserver")


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("env", [{}, {"CHILDREN_WITH_OPS": "1"}], ids=["plain", "with Ops(app)"])
@pytest.mark.parametrize("name", COMMANDS)
def test_children_count_and_spoil_no_gauge_and_leave_no_file(name: str, env: dict[str, str], tmp_path: Path) -> None:
    """The pools live as long as their worker, and do jobs before and after all other children."""
    store = tmp_path / "store"
    *command, application = COMMANDS[name]
    env = {**env, "PROMETHEUS_MULTIPROC_DIR": str(store), "SERVICE_BIND": "127.0.0.1:0", "APPLICATION": APPLICATION}
    with (
        tempfile.TemporaryDirectory() as short,  # the path of the forkserver's socket has at most 107 bytes
        attached(str(application), tmp_path, [], {**env, "TMPDIR": short}, command=command) as server,
    ):
        jobs = 0
        pools = [f"/pool/{start}/4" for start in STARTS]
        others = [*(f"/process/{start}/2" for start in STARTS), "/program/import/2", f"/program/plain/{CHILDREN}"]
        for path in [*pools, *others, *pools]:
            assert 200 == server.request("GET", path).status, path
            jobs += int(path.rpartition("/")[2])
            text = server.manage("/metrics").body.decode()
            assert (jobs, 7) == (value(text, "jobs_total"), value(text, "stock")), path
        assert 4 == value(text, "level")
        # A child with Ops(app) has files from before it, under its pid, and from after it.
        at_most = 2 * len(server.children()) + 2
        wait_until(lambda: len(owners(store)) <= at_most, "the files of ended children are removed")

        if name == "gunicorn":
            before = workers(server)
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(workers(server)) == 2 and before.isdisjoint(workers(server)), "other workers")
            # The folder keeps the sums, and the counts of the master before it served.
            wait_until(lambda: len(owners(store)) <= 2, "the files of the pools are removed")
            text = server.manage("/metrics").body.decode()
            assert (jobs, 7) == (value(text, "jobs_total"), value(text, "stock"))


def owners(store: Path) -> set[str]:
    """Return the names of the processes that have files in the store, except those that serve."""
    names = {store_files.owner_of(path) for path in store_files.metrics_in(store)}
    return {name for name in names if not name.startswith("s")}


def workers(server: Server) -> set[int]:
    return {child.pid for child in psutil.Process(server.process.pid).children()}


def of_ended_processes(directory: Path) -> list[Path]:
    """Write the counts of three ended processes."""
    names = []
    for suffix in ("", "", "n1"):
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            names.append(f"counter_{process.pid}{suffix}.db")
    return [write(directory, name, 10, {"kind": 'a "quoted" ü'}) for name in names]


def test_the_counts_of_ended_processes_move_into_one_file_and_all_others_stay(tmp_path: Path) -> None:
    stay = [write(tmp_path, "counter_s1.db", 1), write(tmp_path, f"counter_{os.getpid()}.db", 1)]
    for file in of_ended_processes(tmp_path):
        write(tmp_path, file.name.replace("counter", "gauge_livemin"), 7)
        before = sorted(scrape(tmp_path).splitlines())
    ended.fold(tmp_path)

    assert before == sorted(scrape(tmp_path).splitlines())
    assert {*stay, tmp_path / "counter_ended.db"} == {*tmp_path.glob("*.db")}


@pytest.mark.parametrize("step", ["write", "unlink", "replace"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_count_is_lost_or_doubled_if_a_process_is_killed_while_it_moves_counts(
    step: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_ended_processes(tmp_path)
    before = scrape(tmp_path)
    calls = 0
    place = store_files if step == "write" else Path
    real = getattr(place, step)

    def killed(*args: object, **options: object) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            if step == "write":
                Path(str(args[0])).touch()
            raise SystemExit
        real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(place, step, killed)
        with pytest.raises(SystemExit):
            ended.fold(tmp_path)
    ended.fold(tmp_path)

    assert before == scrape(tmp_path)
    assert ["counter_ended.db"] == [path.name for path in tmp_path.glob("counter*")]


def test_a_scrape_never_sees_counts_twice_or_too_few_while_they_move(tmp_path: Path) -> None:
    over, written, seen, faults = threading.Event(), 0, 0.0, []
    ended_file = tmp_path / f"counter_{2**40}.db"

    def scrapes() -> None:
        nonlocal seen
        while not over.is_set():
            now = value(scrape(tmp_path), "hits_total")
            if not seen <= now <= written:
                faults.append((seen, now, written))
            seen = now

    with meanwhile([scrapes], over):
        for number in range(200):
            new = write(tmp_path, f"counter_{number}.new", 1)
            written += 1
            new.rename(ended_file)
            while ended_file.exists():
                ended.fold(tmp_path)

    assert ([], 200) == (faults, value(scrape(tmp_path), "hits_total"))
