"""The readiness of several workers as one answer, in the form that the client requested."""

from __future__ import annotations

import os
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from flask_ops.core import multiprocess
from flask_ops.health import Result, Status
from flask_ops.health.metrics import status_elsewhere
from flask_ops.health.readiness import REMEMBERED_SECONDS, Readiness, combine, of_workers, publish, remember
from flask_ops.web.health_answer import UnknownCheckError, answer
from tests.process import wait_until
from tests.servers import serve

OK, DOWN, STARTING, DEGRADED = Status.OK, Status.DOWN, Status.STARTING, Status.DEGRADED


def result(name: str, status: Status, *, critical: bool = True, **more: Any) -> Result:
    return Result(name, status, critical=critical, **more)


def test_the_worst_that_a_worker_says_of_a_critical_check_counts() -> None:
    cases: list[tuple[list[list[Result]], Status]] = [
        ([], STARTING),
        ([[]], OK),
        ([[result("a", OK)], [result("a", OK)]], OK),
        ([[result("a", OK)], [result("a", DOWN)]], DOWN),
        ([[result("a", STARTING)]], STARTING),
        ([[result("a", OK)], [result("a", STARTING)]], OK),
        ([[result("a", OK), result("b", DOWN, critical=False)]], DEGRADED),
        ([[result("a", OK), result("b", STARTING, critical=False)]], OK),
        ([[result("a", DOWN), result("b", DOWN, critical=False)]], DOWN),
        ([[result("b", DOWN, critical=False), result("a", DOWN)]], DOWN),
        ([[result("a", DOWN), result("b", STARTING)]], DOWN),
    ]
    for workers, expected in cases:
        assert expected is combine(workers).status, workers


def test_a_check_that_is_excluded_does_not_count() -> None:
    results = [result("a", OK), result("b", DOWN)]

    assert OK is combine([results], exclude=["b"]).status
    assert DOWN is combine([results], exclude=["a"]).status


def test_what_processes_publish_is_put_together_again(tmp_path: Path) -> None:
    now = time.monotonic()
    failed = result("a", DOWN, seconds=0.5, ended=now, reason="OSError", failures=3)
    publish(tmp_path, "1", [result("a", OK, seconds=9.0, ended=now)])
    publish(tmp_path, "2", [failed])

    assert Readiness(DOWN, {"a": failed}) == of_workers(tmp_path)


def test_a_damaged_file_costs_no_answer(tmp_path: Path) -> None:
    publish(tmp_path, "1", [result("a", OK)])
    for content in (b"", b"garbage", b"[1]", b'[{"name": "a"}]', b'[{"status": "odd", "name": "a"}]'):
        (tmp_path / "readiness_2.json").write_bytes(content)

        assert OK is of_workers(tmp_path).status, content


def end(directory: Path, owner: str) -> None:
    """Remember the last results of a process, and remove its file."""
    remember(directory, owner)
    (directory / f"readiness_{owner}.json").unlink(missing_ok=True)


@pytest.mark.parametrize("last", [OK, DOWN])
def test_the_last_results_count_until_a_newer_worker_has_any(last: Status, tmp_path: Path) -> None:
    publish(tmp_path, "1", [result("a", last, ended=time.monotonic()), result("gone", OK, ended=time.monotonic())])
    end(tmp_path, "1")
    assert Readiness(STARTING, {}) == of_workers(tmp_path), "nobody serves"

    publish(tmp_path, "2", [result("a", STARTING)])
    found = of_workers(tmp_path)
    assert (last, ["a"]) == (found.status, [*found.checks])

    publish(tmp_path, "2", [result("a", OK, ended=time.monotonic())])
    assert OK is of_workers(tmp_path).status


def test_results_of_a_leaving_worker_count_until_a_newer_one_has_any(tmp_path: Path) -> None:
    now = time.monotonic()
    publish(tmp_path, "1", [result("a", DOWN, ended=now - 1)])
    end(tmp_path, "1")
    publish(tmp_path, "2", [result("a", OK, ended=now)])
    publish(tmp_path, "3", [result("a", STARTING)])

    assert OK is of_workers(tmp_path, leaving=["2"]).status

    publish(tmp_path, "3", [result("a", DOWN, ended=now)])
    assert DOWN is of_workers(tmp_path, leaving=["2"]).status


def test_only_a_recent_result_of_the_same_check_counts_before_the_first_new_one(tmp_path: Path) -> None:
    now, new = time.monotonic(), result("a", STARTING)
    cases = [
        ("a new check has no predecessor", result("a", OK, ended=now), [new, result("b", STARTING)], STARTING),
        (
            "the new code decides if it is critical",
            result("a", DOWN, ended=now),
            [new._replace(critical=False)],
            DEGRADED,
        ),
        ("it is too old", result("a", OK, ended=now - REMEMBERED_SECONDS), [new], STARTING),
    ]
    for why, before, after, expected in cases:
        publish(tmp_path, "1", [before])
        end(tmp_path, "1")
        publish(tmp_path, "2", after)

        assert expected is of_workers(tmp_path).status, why


def test_a_worker_without_results_is_not_remembered(tmp_path: Path) -> None:
    publish(tmp_path, "1", [result("a", OK, ended=time.monotonic())])
    end(tmp_path, "1")
    publish(tmp_path, "2", [result("a", STARTING)])
    end(tmp_path, "2")
    publish(tmp_path, "3", [result("a", STARTING)])

    assert OK is of_workers(tmp_path).status


def test_the_first_result_counts_at_once_whatever_was_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(multiprocess.VARIABLE, str(tmp_path))
    publish(tmp_path, "1", [result("a", OK, ended=time.monotonic())])
    end(tmp_path, "1")
    publish(tmp_path, "2", [result("a", STARTING)])

    assert STARTING is status_elsewhere("a")


CHECKS = {
    "a": result("a", OK, seconds=0.0125, ended=time.monotonic()),
    "b": result("b", DOWN, critical=False, seconds=1.0, ended=time.monotonic(), reason="timed out", failures=4),
}


def ask(query: str = "", *, verbose: bool | None = None) -> tuple[int, Any, dict[str, str]]:
    found = answer(lambda _exclude: Readiness(Status.DEGRADED, CHECKS), query, verbose=verbose)
    return found.status, orjson.loads(found.body), dict(found.headers)


def test_without_more_words_it_is_the_status_alone() -> None:
    status, body, headers = ask()

    assert (200, {"status": "degraded"}) == (status, body)
    assert ("application/json", "no-store") == (headers["Content-Type"], headers["Cache-Control"])


def test_a_client_that_may_not_see_the_checks_gets_the_status_alone() -> None:
    assert {"status": "degraded"} == ask("verbose", verbose=False)[1]


def test_verbose_shows_each_check() -> None:
    for query in ("verbose", "verbose=1", "verbose=&x=y"):
        checks = ask(query)[1]["checks"]

        assert ("ok", True, 12.5) == tuple(checks["a"][key] for key in ("status", "critical", "duration_ms"))
        assert ("down", False, "timed out", 4, 1000.0) == tuple(
            checks["b"][key] for key in ("status", "critical", "reason", "failures", "duration_ms")
        )
        assert checks["a"]["age_seconds"] >= 0
        assert "reason" not in checks["a"]


def test_excluding_what_does_not_exist_is_the_clients_fault() -> None:
    for query in ("exclude=c", "exclude=a&exclude=c", "exclude=a,c"):
        with pytest.raises(UnknownCheckError, match=r"called c, only a, b"):
            ask(query)


@pytest.mark.parametrize("name", ["gunicorn", "waitress", "uwsgi"])
@pytest.mark.system
def test_both_addresses_answer_alike(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "down"
    with serve(name, tmp_path, {"SAMPLE_DOWN_IF_EXISTS": str(marker)}) as server:
        wait_until(lambda: server.get("/readyz").status == 200, "ready")
        assert {"status": "ok"} == server.get("/readyz").json()
        marker.touch()
        wait_until(lambda: server.manage("/readyz").status == 503, "not ready")
        wait_until(lambda: server.get("/readyz").status == 503, "not ready")
        for answered in (server.get("/readyz?verbose"), server.manage("/readyz")):
            check = answered.json()["checks"]["marker"]
            assert ("down", "ConnectionError") == (check["status"], check["reason"])
            assert str(marker) not in answered.body.decode()  # the text of an error belongs in the log
        assert 200 == server.get("/readyz?exclude=marker").status == server.manage("/readyz?exclude=marker").status
        for answered in (server.get("/readyz?exclude=mark"), server.manage("/readyz?exclude=mark")):
            assert (400, "application/problem+json") == (answered.status, answered.headers["Content-Type"])


@pytest.mark.system
def test_the_answer_does_not_change_with_the_worker_that_is_asked(tmp_path: Path) -> None:
    marker = tmp_path / "down"
    with serve("gunicorn", tmp_path, {"SAMPLE_DOWN_IF_EXISTS": str(marker), "WEB_CONCURRENCY": "4"}) as server:
        wait_until(lambda: server.get("/readyz").status == 200, "ready")
        wait_until(lambda: len(server.children()) == 4, "four workers")
        marker.touch()
        wait_until(lambda: server.get("/readyz").status == 503, "not ready")
        assert {503} == {server.get("/readyz").status for _ in range(100)}
        marker.unlink()
        wait_until(lambda: server.get("/readyz").status == 200, "ready")
        assert {200} == {server.get("/readyz").status for _ in range(100)}


@pytest.mark.system
def test_a_reload_leaves_it_ready_while_slow_checks_run_in_the_new_workers(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, {"SAMPLE_CHECK_SECONDS": "2"}) as server:
        wait_until(lambda: server.get("/readyz").status == 200, "ready")
        wait_until(lambda: len(server.children()) == 2, "both workers")
        before = {child.pid for child in server.children()}
        server.process.send_signal(signal.SIGHUP)
        seen: set[str] = set()
        ages = [0.0]

        def a_successor_has_a_result() -> bool:
            answer = server.manage("/readyz").json()
            if "checks" in answer:  # a worker has loaded the code
                seen.add(answer["status"])
                ages.append(answer["checks"]["slow"].get("age_seconds", 0.0))
            return ages[-1] < max(ages) and not before & {child.pid for child in server.children()}

        wait_until(a_successor_has_a_result, "a new result")
        assert {"ok"} == seen


@pytest.mark.system
def test_it_does_not_wait_for_a_check_that_hangs(tmp_path: Path) -> None:
    """The check opens a pipe that has no writer."""
    pipe = tmp_path / "pipe"
    with serve("gunicorn", tmp_path, {"SAMPLE_HANGS_IF_PIPE": str(pipe)}) as server:
        wait_until(lambda: server.get("/readyz").status == 200, "ready")
        os.mkfifo(pipe)
        wait_until(lambda: server.get("/readyz").status == 503, "not ready")
        check = server.get("/readyz?verbose").json()["checks"]["pipe"]
        assert ("down", "timed out") == (check["status"], check["reason"])
        threads = {child.pid: child.num_threads() for child in server.children()}
        seconds = []
        for _ in range(100):
            for ask_for in (server.get, server.manage):
                begin = time.perf_counter()
                assert 503 == ask_for("/readyz").status
                seconds.append(time.perf_counter() - begin)
        p99 = statistics.quantiles(seconds, n=100)[98]
        print(f"while a check hangs: p99 of /readyz {p99 * 1000:.1f} ms")  # noqa: T201 - quoted
        assert all(child.num_threads() <= threads[child.pid] + 4 for child in server.children())
