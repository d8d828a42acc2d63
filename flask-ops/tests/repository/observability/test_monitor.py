from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import psutil
import pytest

from observability.programs import free_port, occupied
from tests.process import BIN, REPOSITORY, Server, started, wait_until
from tests.programs import require

NAMES = ("service", "management", "prometheus", "alertmanager")


def command(ports: dict[str, int]) -> list[str | Path]:
    require("prometheus")
    require("prometheus-alertmanager")
    return [
        BIN / "python",
        "-m",
        "observability.monitor",
        *(f"--{name}={port}" for name, port in ports.items()),
    ]


def scraped(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5) as answer:
        return [target["scrapeUrl"] for target in json.load(answer)["data"]["activeTargets"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_everything_runs_at_the_addresses_that_are_printed_until_ctrl_c(number: signal.Signals, tmp_path: Path) -> None:
    """Closing the terminal ends it, too."""
    ports = {name: free_port() for name in NAMES}
    with started(
        command(ports), tmp_path, {"WEB_CONCURRENCY": "1", "SERVICE_DRAIN_SECONDS": "0"}, cwd=REPOSITORY
    ) as monitor:
        wait_until(lambda: "Ctrl-C" in monitor.text(), "it is ready")
        for name, port in ports.items():
            assert f"{name:<13} http://127.0.0.1:{port}/" in monitor.text()
        wait_until(
            lambda: [f"http://127.0.0.1:{ports['management']}/metrics"] == scraped(ports["prometheus"]), "the target"
        )
        family = psutil.Process(monitor.process.pid).children(recursive=True)

        assert 0 == monitor.stop(number)
        assert not any(process.is_running() for process in family)
        assert not any(map(occupied, ports.values()))


def test_where_something_ends_all_of_it_does(tmp_path: Path) -> None:
    ports = {name: free_port() for name in NAMES}
    with started(
        command(ports), tmp_path, {"WEB_CONCURRENCY": "1", "SERVICE_DRAIN_SECONDS": "0"}, cwd=REPOSITORY
    ) as monitor:
        wait_until(lambda: "Ctrl-C" in monitor.text(), "it is ready")
        of_prometheus(monitor).kill()

        assert 1 == monitor.process.wait(20)
        assert "prometheus has ended" in monitor.text()


def of_prometheus(monitor: Server) -> psutil.Process:
    return next(
        child for child in psutil.Process(monitor.process.pid).children() if "prometheus.yml" in str(child.cmdline())
    )


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    ports = {name: free_port() for name in NAMES}
    with started(
        command(ports), tmp_path, {"WEB_CONCURRENCY": "1", "SERVICE_DRAIN_SECONDS": "0"}, cwd=REPOSITORY
    ) as monitor:
        wait_until(lambda: "Ctrl-C" in monitor.text(), "it is ready")
        (tmp_path / "second").mkdir()
        with started(command(ports), tmp_path / "second", cwd=REPOSITORY) as second:
            assert 2 == second.process.wait(20)
            assert f"--prometheus {ports['prometheus']}" in second.text()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"alertmanager": "9090"}, "two programs cannot share a port"),
        ({"service": "70000"}, "'70000' is not a port"),
        ({"management": "0"}, "'0' is not a port"),
        ({"management": "x"}, "'x' is not a port"),
    ],
    ids=["shared", "too large", "0", "no number"],
)
def test_ports_that_cannot_be_are_said_at_once(changed: dict[str, str], said: str, tmp_path: Path) -> None:
    arguments = [f"--{name}={port}" for name, port in changed.items()]
    with started([BIN / "python", "-m", "observability.monitor", *arguments], tmp_path, cwd=REPOSITORY) as monitor:
        assert 2 == monitor.process.wait(20)
        assert said in monitor.text()
        assert "Traceback" not in monitor.text()


def test_the_log_of_the_service_is_shown(tmp_path: Path) -> None:
    ports = {name: free_port() for name in NAMES}
    with started(command(ports), tmp_path, {"WEB_CONCURRENCY": "1"}, cwd=REPOSITORY) as monitor:
        wait_until(lambda: "Ctrl-C" in monitor.text(), "it is ready")
        with urllib.request.urlopen(f"http://127.0.0.1:{ports['service']}/", timeout=5):
            wait_until(lambda: '"event":"request"' in monitor.text(), "the line of the request")


def test_with_a_long_drain_ctrl_c_still_stops_the_service_gracefully(tmp_path: Path) -> None:
    """A killed service would leave its metrics store behind."""
    ports = {name: free_port() for name in NAMES}
    settings = {"WEB_CONCURRENCY": "1", "SERVICE_DRAIN_SECONDS": "30", "SERVICE_GRACEFUL_SECONDS": "60"}
    with started(command(ports), tmp_path, settings, cwd=REPOSITORY) as monitor:
        wait_until(lambda: "Ctrl-C" in monitor.text(), "it is ready")
        assert list((tmp_path / "tmp").glob("service-metrics-*"))

        assert 0 == monitor.stop(signal.SIGINT)
        assert [] == list((tmp_path / "tmp").iterdir())
