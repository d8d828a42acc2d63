"""Findings of `check` about memory, CPUs and open files."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest

from flask_ops.cli.check import resources, trial
from flask_ops.cli.check.trial import Trial
from flask_ops.cli.findings import Finding
from tests.check.checking import deployment, only
from tests.process import PROJECT, clean_environ

MIB = 2**20


def memory(root: Path, limit: str, name: str = "memory.max", workers: int = 2, server: str = "gunicorn") -> Finding:
    """Return the finding for a process of 35 MiB, a Gunicorn master of 25, and a machine of 1000."""
    group = root / "sys/fs/cgroup" / ("memory" if name == "memory.limit_in_bytes" else "")
    for directory in (group / "a", root / "proc/self"):
        directory.mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text("4:memory:/a\n" if group.name == "memory" else "0::/a\n")
    (root / "proc/meminfo").write_text("MemTotal:  1024000 kB\nMemFree: 1 kB\n")
    (group / "a" / name).write_text(limit)
    tried = Trial(loaded_bytes=35 * MIB, master_bytes=25 * MIB if server == "gunicorn" else None)
    return only(resources.look(deployment({"WEB_CONCURRENCY": str(workers)}, server, tried), root), "memory")


@pytest.mark.parametrize("name", ["memory.max", "memory.limit_in_bytes"])
@pytest.mark.parametrize(
    ("limit", "severity"),
    [(200, "ok"), (87, "ok"), (86, "warning"), (65, "warning"), (64, "error"), (10, "error")],
)
def test_what_all_processes_need_is_compared_with_the_cgroup(
    limit: int, severity: str, name: str, tmp_path: Path
) -> None:
    finding = memory(tmp_path, f"{limit * MIB}\n", name)

    assert severity == finding.severity
    assert f"needs 65 MiB (25, and 20 more for each of 2 workers); the cgroup has {limit} MiB" in finding.text


@pytest.mark.parametrize(("name", "limit"), [("memory.max", "max\n"), ("memory.limit_in_bytes", "9223372036854771712")])
def test_without_a_limit_it_is_the_machine_that_counts(name: str, limit: str, tmp_path: Path) -> None:
    assert "the machine has 1000 MiB" in memory(tmp_path, limit, name).text
    assert "error" == memory(tmp_path, limit, name, workers=49).severity


def test_the_cure_is_how_many_workers_fit(tmp_path: Path) -> None:
    """Three quarters of 134 MiB hold the master's 25, three workers of 20, and a remainder."""
    finding = memory(tmp_path, str(134 * MIB), workers=8)

    assert ("error", "WEB_CONCURRENCY=3, or more memory.") == (finding.severity, finding.cure)
    assert "ok" == memory(tmp_path, str(134 * MIB), workers=3).severity


def test_what_the_first_process_of_uwsgi_has_loaded_is_shared(tmp_path: Path) -> None:
    assert "needs 55 MiB (35, and 10 more for each of 2" in memory(tmp_path, "max", server="uwsgi").text


def test_waitress_is_one_process(tmp_path: Path) -> None:
    assert "needs 35 MiB; the" in memory(tmp_path, "max", workers=8, server="waitress").text


@pytest.mark.parametrize(("workers", "limit"), [(2, 60), (8, 150), (12, 256), (16, 256)])
@pytest.mark.system
def test_what_has_served_within_a_limit_is_no_error(
    workers: int, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service served 64 connections in cgroups of these sizes, in MiB."""
    monkeypatch.chdir(PROJECT)
    memory(tmp_path, str(limit * MIB))
    tried = replace(trial.run("service.app:create_app()", clean_environ(), with_gunicorn=True), gunicorn=None)
    found = resources.look(deployment({"WEB_CONCURRENCY": str(workers)}, trial=tried), tmp_path)

    assert only(found, "memory").severity in {"ok", "warning"}


def test_what_cannot_be_known_is_not_judged(tmp_path: Path) -> None:
    assert "note" == only(resources.look(deployment(), tmp_path), "memory").severity


@pytest.mark.parametrize(
    ("cpus", "workers", "severity"),
    [(1, 2, "ok"), (1, 3, "warning"), (2, 2, "ok"), (4, 4, "ok"), (4, 5, "warning"), (4, 1, "ok")],
)
def test_more_workers_than_cpus_are_a_warning(
    cpus: int, workers: int, severity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "usable_cpus", lambda: cpus)

    found = [*resources.look(deployment({"WEB_CONCURRENCY": str(workers)}))]
    assert severity == only(found, "cpus").severity


def test_a_worker_must_be_able_to_open_what_it_accepts() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    threads = {"SERVICE_THREADS": "100"}  # uWSGI serves one connection in each thread
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (532, hard))
        enough = only(resources.look(deployment(threads, "uwsgi")), "descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (531, hard))
        too_few = only(resources.look(deployment(threads, "uwsgi")), "descriptors")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert ("ok", "error") == (enough.severity, too_few.severity)
    assert "up to 532 files: 100 connections, 100 threads; the limit of a process is 531" in too_few.text
    assert "ulimit -n 532" in too_few.cure
