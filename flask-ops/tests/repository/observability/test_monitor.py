"""`make monitor`: the service with Prometheus and Alertmanager, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from observability.programs import free_port, occupied
from tests.process import BIN, REPOSITORY, Server, started, wait_until
from tests.programs import require

NAMES = ("service", "management", "prometheus", "alertmanager")
ENVIRON = {"WEB_CONCURRENCY": "1", "SERVICE_DRAIN_SECONDS": "30", "SERVICE_GRACEFUL_SECONDS": "60"}


def command(ports: dict[str, int] | dict[str, str]) -> list[str | Path]:
    return [BIN / "python", "-m", "observability.monitor", *(f"--{name}={port}" for name, port in ports.items())]


@contextlib.contextmanager
def monitor(ports: dict[str, int], directory: Path) -> Iterator[Server]:
    """Run it during the block, which begins when everything runs."""
    require("prometheus")
    require("prometheus-alertmanager")
    with started(command(ports), directory, ENVIRON, cwd=REPOSITORY) as running:
        wait_until(lambda: "Ctrl-C" in running.text(), "it is ready")
        yield running


def scraped(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5) as answer:
        return [target["scrapeUrl"] for target in json.load(answer)["data"]["activeTargets"]]


@pytest.fixture
def ports() -> dict[str, int]:
    return {name: free_port() for name in NAMES}


def test_everything_runs_at_the_addresses_that_are_printed(ports: dict[str, int], tmp_path: Path) -> None:
    """A second monitor cannot use the same ports. If one of the programs ends, all of them do."""
    with monitor(ports, tmp_path) as running:
        for name, port in ports.items():
            assert f"{name:<13} http://127.0.0.1:{port}/" in running.text()
        target = [f"http://127.0.0.1:{ports['management']}/metrics"]
        wait_until(lambda: target == scraped(ports["prometheus"]), "the target")
        with urllib.request.urlopen(f"http://127.0.0.1:{ports['service']}/", timeout=5):
            wait_until(lambda: '"event":"request"' in running.text(), "the line of the request")

        (tmp_path / "second").mkdir()
        with started(command(ports), tmp_path / "second", cwd=REPOSITORY) as second:
            assert 2 == second.process.wait(20)
            assert f"--prometheus {ports['prometheus']}" in second.text()

        children = psutil.Process(running.process.pid).children()
        next(child for child in children if "prometheus.yml" in str(child.cmdline())).kill()
        assert 1 == running.process.wait(20)
        assert "prometheus has ended" in running.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_ends_everything_and_so_does_closing_the_terminal(
    number: signal.Signals, ports: dict[str, int], tmp_path: Path
) -> None:
    """The service stops gracefully, without its drain. A killed service would leave its metrics store behind."""
    with monitor(ports, tmp_path) as running:
        family = psutil.Process(running.process.pid).children(recursive=True)
        assert list((tmp_path / "tmp").glob("service-metrics-*"))

        assert 0 == running.stop(number)
        assert not any(process.is_running() for process in family)
        assert not any(map(occupied, ports.values()))
        assert [] == list((tmp_path / "tmp").iterdir())


def test_ports_that_cannot_be_used_are_refused_at_once(tmp_path: Path) -> None:
    refused = {
        ("alertmanager", "9090"): "two programs cannot share a port",
        ("service", "70000"): "'70000' is not a port",
        ("management", "0"): "'0' is not a port",
        ("management", "x"): "'x' is not a port",
    }
    for (name, port), reason in refused.items():
        folder = tmp_path / port
        folder.mkdir()
        with started(command({name: port}), folder, cwd=REPOSITORY) as running:
            assert 2 == running.process.wait(20)
            assert reason in running.text()
            assert "Traceback" not in running.text()
