"""Two applications in one process share metrics and the management address, and have their own checks."""

from __future__ import annotations

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from flask_ops.health import Result, Status
from flask_ops.health.readiness import of_workers, publish
from tests.attach.servers import LOOPBACK, are_replaced, assert_observed, attached, counts, metric, pids
from tests.process import Server, wait_until

TWO_SHOPS = "tests.applications.two_shops:create_app()"
ITEM = "/items/<int:number>"
REQUESTS = 200
"""Sent from each of eight threads. With two metric objects on one stored value, half of 200 counts were lost."""


def checks(server: Server, path: str) -> dict[str, Any]:
    found = server.manage("/readyz?verbose") if path == "management" else server.get(f"{path}?verbose")
    return {name: check["status"] for name, check in found.json()["checks"].items()}


def test_no_count_is_lost(tmp_path: Path) -> None:
    with attached(TWO_SHOPS, tmp_path, [LOOPBACK, "-w", "2"], {"SHOP_FOLDER": str(tmp_path)}) as server:

        def ask(number: int) -> bytes:
            return server.get(f"/items/{number}" if number % 2 else f"/toys/items/{number}").body

        with ThreadPoolExecutor(8) as pool:
            bodies = Counter(body.split()[0] for body in pool.map(ask, range(8 * REQUESTS)))

        assert {b"books": 4 * REQUESTS, b"toys": 4 * REQUESTS} == bodies
        assert_observed(server, Counter({("GET", ITEM, "200"): 8 * REQUESTS}))
        for path in ("/metrics", "/toys/metrics"):
            assert 8 * REQUESTS == counts(server.get(path).body.decode())["GET", ITEM, "200"]


def test_each_has_its_own_checks_and_the_management_address_has_all(tmp_path: Path) -> None:
    with attached(TWO_SHOPS, tmp_path, [LOOPBACK, "-w", "2"], {"SHOP_FOLDER": str(tmp_path)}) as server:
        assert {"database": "ok", "printer": "ok"} == checks(server, "/readyz")
        assert {"database": "ok", "crane": "ok"} == checks(server, "/toys/readyz")
        assert {"database": "ok", "printer": "ok", "crane": "ok"} == checks(server, "management")

        def shown() -> tuple[float, ...]:
            return tuple(metric(server, "service_health_check_up", check=name) for name in ("database", "printer"))

        for down, path, other in (("books", "", "/toys"), ("toys", "/toys", "")):
            wait_until(lambda: server.manage("/readyz").status == 200, "the service's readiness")
            (tmp_path / f"{down}-down").touch()
            wait_until(partial(is_down, server, path), f"the end of readiness of {down}")
            wait_until(lambda: server.manage("/readyz").status == 503, f"the end of the service's readiness by {down}")
            assert 200 == server.get(f"{other}/readyz").status, other
            assert "ok" == checks(server, f"{other}/readyz")["database"], other
            assert "down" == checks(server, "management")["database"], down
            wait_until(lambda: shown() == (0, 1), f"the metric of the check that is down for {down}")
            (tmp_path / f"{down}-down").unlink()


def is_down(server: Server, path: str) -> bool:
    return server.get(f"{path}/readyz").status == 503


def test_checks_of_the_same_name_count_separately(tmp_path: Path) -> None:
    cases: list[tuple[Status, list[tuple[Status, bool, int]]]] = [
        # The worse failure is not critical; the other failure is.
        (Status.DOWN, [(Status.DOWN, False, 9), (Status.DOWN, True, 1)]),
        (Status.DEGRADED, [(Status.DOWN, False, 9), (Status.OK, True, 0)]),
        # The result of one application does not stand for the other.
        (Status.STARTING, [(Status.OK, True, 0), (Status.STARTING, True, 0)]),
    ]
    for expected, of_each in cases:
        results = [
            Result("database", status, critical=critical, failures=failures, ended=1.0, application=number)
            for number, (status, critical, failures) in enumerate(of_each, 1)
        ]
        publish(tmp_path, "1", results)

        assert expected is of_workers(tmp_path).status, of_each


def test_results_of_a_predecessor_count_for_their_own_application(tmp_path: Path) -> None:
    now = time.monotonic()
    publish(tmp_path, "1", [Result("database", Status.OK, ended=now, application=1)])
    publish(tmp_path, "2", [Result("database", Status.STARTING, application=number) for number in (1, 2)])

    found = {number: of_workers(tmp_path, leaving=["1"], application=number).status for number in (1, 2)}

    assert {1: Status.OK, 2: Status.STARTING} == found


def test_a_reload_does_not_mix_checks_of_the_same_name(tmp_path: Path) -> None:
    with attached(TWO_SHOPS, tmp_path, [LOOPBACK, "-w", "1"], {"SHOP_FOLDER": str(tmp_path)}) as server:
        (tmp_path / "toys-down").touch()
        wait_until(lambda: server.get("/toys/readyz").status == 503, "the end of one application's readiness")
        before = pids(server)
        server.process.send_signal(signal.SIGHUP)
        seen: Counter[tuple[int, int]] = Counter()

        def replaced() -> bool:
            seen[server.get("/readyz").status, server.get("/toys/readyz").status] += 1
            return are_replaced(server, before)

        wait_until(replaced, "a new worker")
        assert {(200, 503)} == set(seen)
