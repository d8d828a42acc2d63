"""The parts of the drill: programs that always end, and the receiver of alerts."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from observability import programs
from observability.drill.load import Load, ask
from observability.drill.webhook import Webhook, title
from observability.programs import MissingProgramError, Program, free_port
from tests.process import wait_until

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    print("child", os.getpid(), flush=True)
time.sleep(600)
"""


def test_a_stubborn_program_ends_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "GRACE_SECONDS", 0.2)
    output = tmp_path / "output"
    program = Program([sys.executable, "-c", STUBBORN], output)
    wait_until(lambda: "child" in output.read_text(), "the child")
    child = psutil.Process(int(output.read_text().split()[1]))
    program.stop()

    assert -signal.SIGKILL == program.process.returncode
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the end of the child")


def test_a_program_that_ends_instead_of_answering_is_shown_with_its_output(tmp_path: Path) -> None:
    program = Program([sys.executable, "-c", "print('no such luck')"], tmp_path / "output")
    with pytest.raises(RuntimeError, match="no such luck"):
        program.wait_for(f"http://127.0.0.1:{free_port()}/")
    program.stop()


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)

    with pytest.raises(MissingProgramError, match="apt-get install --no-install-recommends prometheus-alertmanager"):
        programs.find("prometheus-alertmanager")


def test_alertmanager_is_found_by_the_name_that_its_own_releases_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = tmp_path / "alertmanager"
    released.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert released == programs.alertmanager(tmp_path, 9093)[0]


def test_a_free_port_is_for_a_server_and_given_to_nobody_else() -> None:
    port = free_port()
    others = {free_port() for _ in range(200)}

    assert port not in others
    assert not programs.occupied(port)
    with socket.create_server(("127.0.0.1", port)):
        assert programs.occupied(port)


def test_settings_of_the_user_do_not_reach_the_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_ENV", "production")
    monkeypatch.setenv("WEB_CONCURRENCY", "9")

    assert set() == {"SERVICE_ENV", "WEB_CONCURRENCY"} & programs.environ_without_settings().keys()


def test_the_webhook_knows_what_has_arrived_where_and_what_is_over() -> None:
    webhook = Webhook()
    try:
        tell(webhook, "firing", {"alertname": "A", "slo": "latency"}, {"alertname": "B", "check": "database"})
        tell(webhook, "firing", {"alertname": "B", "check": "database", "job": "search"})
        first = webhook.arrived("shop")
        assert {"A{latency}", "B{database}"} == set(first)
        assert {"B{database}"} == set(webhook.arrived("search"))
        assert {"A{latency}": {"tickets"}, "B{database}": {"tickets"}} == webhook.receivers("shop")
        assert set() == webhook.resolved("shop")

        tell(webhook, "resolved", {"alertname": "B", "check": "database"})
        assert {"B{database}"} == webhook.resolved("shop")
        assert set() == webhook.resolved("search")

        tell(webhook, "firing", {"alertname": "B", "check": "database"})
        assert set() == webhook.resolved("shop")
        assert first == webhook.arrived("shop")
        webhook.forget()
        assert {} == webhook.arrived("shop")
        assert "A" == title({"alertname": "A", "instance": "x"}), "an alert without objective and check"
    finally:
        webhook.stop()


def tell(webhook: Webhook, status: str, *labels: dict[str, str]) -> None:
    body = json.dumps({"alerts": [{"status": status, "labels": {"job": "shop", **one}} for one in labels]}).encode()
    with urllib.request.urlopen(f"{webhook.url}/tickets", body, timeout=5):  # noqa: S310 - loopback
        pass


def test_clients_go_on_without_answers() -> None:
    numbers: list[int] = []
    port = free_port()
    with Load(lambda number: numbers.append(number + ask(port, "GET", "/")), pause=0.001):
        wait_until(lambda: len(numbers) > 3, "four requests")

    assert [0, 1, 2, 3] == numbers[:4]
