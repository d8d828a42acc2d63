"""The measurements, each at a small size on a real server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmark import load, overload, scraped
from benchmark.__main__ import main
from benchmark.growth import visit
from benchmark.log_sink import file_sink
from benchmark.memory import sizes
from benchmark.saturation import probe
from benchmark.scrapes import ended, recycle, scrape
from benchmark.server import FailedError, serving
from benchmark.subject import SUBJECTS
from tests.programs import require


def test_a_run_measures_bare_flask_and_this_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require("wrk")
    monkeypatch.setattr(load, "VARIANTS", load.VARIANTS[1:2])
    monkeypatch.setattr(scraped, "ROUTES", 3)
    monkeypatch.setattr(scraped, "WORKERS", (1,))

    options = ["--rounds=1", "--seconds=1", "--subjects=service", "--series=load,scraped", f"--output={tmp_path}"]
    assert 0 == main(options)

    results = json.loads((tmp_path / "results.json").read_text())["results"]
    (during,) = results["scraped"]
    assert (1, 1) == (len(during["p99_ms"]), len(during["scraped_p99_ms"]))
    assert len(during["scrape_ms"]) > 1
    rows = results["load"]
    assert ["bare", "service"] == [row["subject"] for row in rows]
    bare, service = (row["lines_per_request"] for row in rows)
    assert bare < 0.5
    assert 1.0 <= service < 1.5  # the log also has lines of the start, and of requests that wrk did not wait for
    assert all(row["cpu_us"] > 50 and row["requests"] > 100 and not row["failed"] for row in rows)
    printed = capsys.readouterr().out
    assert 2 == printed.count("| this service, everything on |")
    assert "with a scrape each second" in printed


def test_overload_is_measured_behind_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require("haproxy")
    monkeypatch.setattr(overload, "SUBJECTS", ("service",))
    monkeypatch.setattr(overload, "PROXIES", ("HAProxy",))
    monkeypatch.setattr(overload, "VIEWS", {"sleeps 50 ms": "/slow?seconds=0.05"})
    monkeypatch.setattr(overload, "TIMES", (0.5, 5.0))

    assert 0 == main(["--seconds=3", "--subjects=service", "--series=overload", f"--output={tmp_path}"])

    below, above = json.loads((tmp_path / "results.json").read_text())["results"]["overload"]
    assert below["sent"] < above["sent"]
    assert all(0 < row["answered"] <= row["sent"] - row["refused"] for row in (below, above))
    assert above["refused"] > 0
    assert all(row["probe_p99_ms"] > 0 for row in (below, above))
    assert below["probe_p99_ms"] != above["probe_p99_ms"]
    assert 0 < below["idle_probe_p99_ms"] == above["idle_probe_p99_ms"]
    assert "A view that sleeps 50 ms, through HAProxy" in capsys.readouterr().out


def test_recycled_workers_are_counted_and_the_server_is_scraped(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with file_sink(log) as sink, serving(SUBJECTS["service"], sink, gunicorn=("--max-requests=5",)) as server:
        recycle(server, log, 3)
        assert ended(log, workers=2) >= 3
        taken = scrape(server, 2)
        assert (2, 0) == (len(taken["scrape_ms"]), taken["failed"])
        assert taken["bytes"] > 1000
        family = [server.process.pid, *server.workers()]

    assert not any(map(psutil.pid_exists, family))


def test_a_prober_gives_up_without_an_answer_and_asks_on() -> None:
    with serving(SUBJECTS["bare"], workers=1, routes=3) as server:
        visit(server, 3)
        taken = probe(server, {"/healthz": False, "/slow?seconds=3": False, "/route/3": False}, 0.3)
        size = sizes(server)

    assert 3 == len(taken["/healthz"])
    assert all(seconds is not None and 0 < seconds < 1 for seconds in taken["/healthz"])
    assert [None] * 3 == taken["/slow?seconds=3"] == taken["/route/3"]
    assert size["tree_bytes"] > size["worker_bytes"] > 5_000_000


def test_a_server_that_cannot_start_is_an_error_with_its_output() -> None:
    broken = replace(SUBJECTS["bare"], command=lambda _: ["/bin/sh", "-c", "echo no such module; exit 3"])

    with pytest.raises(FailedError, match="bare ended with 3") as raised, serving(broken):
        pass

    assert ["no such module\n"] == raised.value.__notes__


def test_every_subject_answers_the_same() -> None:
    for name in ("access-log", "exporter", "structlog", "uwsgi"):
        subject = SUBJECTS[name]
        with serving(subject) as server:
            assert b'{"name":"service","version":"0.1.0"}\n' == server.get("/"), name
            assert not subject.scrape or b"flask_http_request_total" in server.get(subject.scrape, aside=True), name
