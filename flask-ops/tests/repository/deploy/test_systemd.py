"""The unit is valid and hardened, and its values fit the service."""

from __future__ import annotations

import socket
import stat
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from flask_ops.core.settings import Settings
from flask_ops.health import readiness
from flask_ops.health.readiness import Readiness
from flask_ops.ops import startup
from flask_ops.servers.gunicorn.systemd import Systemd
from tests.process import BIN, PROJECT, REPOSITORY, Server, started, wait_until
from tests.programs import outcome, require
from tests.repository.names import UNIT
from tests.servers import COMMANDS, serve

HERE = f"/opt/{UNIT.stem}"


@pytest.fixture
def unit() -> dict[str, str]:
    """Return the settings of the unit; repeated names are joined in one line."""
    found: dict[str, str] = {}
    for line in UNIT.read_text().splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not name.startswith("#"):
            found[name] = f"{found.get(name, '')} {value}".strip()
    return found


def environment(unit: Mapping[str, str]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in unit["Environment"].split())


def test_systemd_understands_every_line_and_its_exposure_is_under_2(tmp_path: Path) -> None:
    """For an unknown key, systemd-analyze exits with 0 and prints a message."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(f"{HERE}/.venv/bin", str(BIN)).replace(HERE, str(REPOSITORY)))

    assert (0, "") == outcome(require("systemd-analyze"), "verify", copy)
    returned, output = outcome(require("systemd-analyze"), "security", "--offline=true", "--threshold=20", UNIT)
    assert 0 == returned, output


def test_its_numbers_fit_those_of_the_service(unit: dict[str, str]) -> None:
    defaults = Settings.from_environ({})

    assert int(unit["TimeoutStopSec"]) >= defaults.drain_seconds + defaults.graceful_seconds + 5
    assert {str(startup.EX_CONFIG), str(startup.EX_CANTCREAT)} == set(unit["RestartPreventExitStatus"].split())
    assert f"%t/{unit['RuntimeDirectory']}" == environment(unit)["TMPDIR"]
    assert 0o711 == int(unit["RuntimeDirectoryMode"], 8), "others can reach its socket, but not list its folder"
    # Gunicorn replaces an unresponsive worker before the watchdog ends: `timeout` and a check each second.
    assert int(unit["WatchdogSec"]) >= 2 * 30


def test_its_workers_fit_into_its_memory_and_tasks_whatever_the_number_of_cpus(
    unit: dict[str, str], tmp_path: Path
) -> None:
    workers = environment(unit)["WEB_CONCURRENCY"]
    with serve("gunicorn", tmp_path, {"WEB_CONCURRENCY": workers}, ready="/readyz") as server:
        wait_until(lambda: ready(server) == 200, "all workers are ready")
        processes = [psutil.Process(server.process.pid), *server.children()]
        memory = sum(process.memory_full_info().pss for process in processes)
        tasks = sum(process.num_threads() for process in processes)

    assert 2 * memory < int(unit["MemoryMax"].removesuffix("M")) * 2**20
    assert 4 * tasks < int(unit["TasksMax"])


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_the_service_needs_no_system_call_that_the_unit_forbids(where: str, tmp_path: Path) -> None:
    name = tmp_path / "socket"
    environ = {"SERVICE_BIND": "127.0.0.1:0" if where == "tcp" else f"unix:{name}"}
    confined: list[str | Path] = [sys.executable, "-m", "tests.repository.deploy.syscall_filter", UNIT]
    with started([*confined, *COMMANDS["gunicorn"]], tmp_path, environ) as server:
        wait_until(lambda: ready(server) == 200, "ready")
        if where == "unix":
            assert 0o666 == stat.S_IMODE(name.stat().st_mode), "the proxy has another user"
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(name))
                client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                assert client.recv(12).endswith(b" 200")
        assert 0 == server.stop()

    assert "PermissionError" not in server.text()


class Told:
    """A socket like systemd's, and the messages that it received."""

    def __init__(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name)
        self._socket.setblocking(False)
        self.messages: list[str] = []

    def read(self) -> list[str]:
        while True:
            try:
                self.messages += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Told]]:
    name = f"{tmp_path}/notify" if request.param == "path" else f"@{tmp_path.name}-{id(request)}"
    listener = Told(name.replace("@", "\0"))
    yield name, listener
    listener.close()


SLOW = """
import pathlib, time
from tests.sample import create_app

def create():
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return create_app()
"""


@pytest.mark.parametrize("told", ["abstract"], indirect=True)
def test_the_service_is_ready_when_a_worker_serves_and_not_before(told: tuple[str, Told], tmp_path: Path) -> None:
    name, listener = told
    (tmp_path / "slow.py").write_text(SLOW)
    environ = {"NOTIFY_SOCKET": name, "SERVICE_BIND": "127.0.0.1:0", "SERVICE_DRAIN_SECONDS": "0.5"}
    options = ["--config", str(PROJECT / "gunicorn.conf.py"), "--chdir", str(tmp_path), "--pythonpath", str(PROJECT)]
    with started([BIN / "gunicorn", *options, "slow:create()"], tmp_path, environ) as server:
        wait_until(lambda: listener.read().count("WATCHDOG=1") > 1, "the master's loop turns")
        assert "STATUS=starting" in listener.messages
        assert "READY=1" not in listener.messages

        (tmp_path / "go").touch()
        wait_until(lambda: "READY=1" in listener.read(), "ready")
        assert 200 == ready(server)
        assert 0 == server.stop()

    told_last = [message for message in listener.read() if message != "WATCHDOG=1"]
    assert ["STATUS=starting", "READY=1", "STATUS=ok"] == told_last[:3]
    assert "STOPPING=1" in told_last
    assert told_last.count("READY=1") == told_last.count("STOPPING=1") == 1


def ready(server: Server) -> int:
    return server.manage("/readyz").status


def starting(exclude: Collection[str]) -> Readiness:
    return readiness.combine([], exclude=exclude)


def test_a_service_that_is_not_alive_sends_no_watchdog_message(told: tuple[str, Told]) -> None:
    name, listener = told
    faults = [None, "no worker is alive", None]
    environ = {"NOTIFY_SOCKET": name, "PATH": "/bin"}
    supervisor = Systemd(lambda: faults.pop(0), starting, environ)

    said = []
    for _ in range(3):
        supervisor.turn()
        said.append("WATCHDOG=1" in listener.read())
        listener.messages.clear()

    assert [True, False, True] == said
    assert {"PATH": "/bin"} == environ


def test_nothing_changes_without_systemd() -> None:
    asked: list[None] = []

    Systemd(lambda: asked.append(None), starting, {}).turn()

    assert [] == asked


def test_missed_messages_are_sent_when_systemd_is_back(tmp_path: Path) -> None:
    supervisor = Systemd(lambda: None, starting, {"NOTIFY_SOCKET": f"{tmp_path}/notify"})
    supervisor.turn()

    listener = Told(f"{tmp_path}/notify")
    supervisor.turn()

    assert ["STATUS=starting", "WATCHDOG=1"] == listener.read()
    listener.close()
