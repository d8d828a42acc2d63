"""Findings of `check` about memory, CPUs, open files and the metrics store."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from flask_ops.cli.check import resources
from flask_ops.cli.check.deployment import Trial, load
from flask_ops.cli.check.resources import file_system, look
from flask_ops.cli.findings import Finding
from tests.check.checking import deployment, only
from tests.namespaces import in_namespace
from tests.process import BIN, PROJECT, clean_environ

MIB = 2**20
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder is made in it safely


def memory(
    root: Path, limit: str, name: str = "memory.max", workers: int = 2, server: str = "gunicorn", shared: int = 25
) -> Finding:
    """Return the finding for a master of ``shared`` MiB, whose workers add 10, and a cgroup below ``root``."""
    group = root / "sys/fs/cgroup" / ("memory" if name == "memory.limit_in_bytes" else "")
    for directory in (group / "a", root / "proc/self"):
        directory.mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text("4:memory:/a\n" if group.name == "memory" else "0::/a\n")
    (group / "a" / name).write_text(limit)
    tried = Trial(shared_bytes=shared * MIB, worker_bytes=10 * MIB)
    return only(look(deployment({"WEB_CONCURRENCY": str(workers)}, server, tried), root), "memory")


def test_what_all_processes_need_is_compared_with_the_cgroup(tmp_path: Path) -> None:
    for limit, severity in ((200, "ok"), (87, "ok"), (86, "warning"), (65, "warning"), (64, "error"), (10, "error")):
        for name in ("memory.max", "memory.limit_in_bytes"):
            finding = memory(tmp_path / name, f"{limit * MIB}\n", name)

            assert severity == finding.severity
            assert f"needs 65 MiB (25, and 20 more for each of 2 workers); the cgroup has {limit} MiB" in finding.text


def test_without_a_limit_it_is_the_machine_that_counts(tmp_path: Path) -> None:
    total = psutil.virtual_memory().total
    for name, limit in (("memory.max", "max\n"), ("memory.limit_in_bytes", "9223372036854771712")):
        assert f"the machine has {total / MIB:.0f} MiB" in memory(tmp_path / name, limit, name).text
        assert "error" == memory(tmp_path / name, limit, name, shared=total // MIB).severity


def test_the_cure_is_how_many_workers_fit(tmp_path: Path) -> None:
    """Three quarters of 134 MiB hold the master's 25, three workers of 20, and a remainder."""
    finding = memory(tmp_path, str(134 * MIB), workers=8)

    assert ("error", "WEB_CONCURRENCY=3, or more memory.") == (finding.severity, finding.cure)
    assert "ok" == memory(tmp_path, str(134 * MIB), workers=3).severity


def test_waitress_is_one_process(tmp_path: Path) -> None:
    assert "needs 25 MiB; the" in memory(tmp_path, "max", workers=8, server="waitress").text


@pytest.mark.system
def test_what_has_served_within_a_limit_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service served 64 connections in cgroups of these sizes, in MiB."""
    monkeypatch.chdir(PROJECT)
    tried = load("service.app:create_app()", clean_environ(), "gunicorn", is_given=False)
    for workers, limit in ((2, 60), (8, 150), (12, 256), (16, 256)):
        memory(tmp_path, str(limit * MIB))
        found = look(deployment({"WEB_CONCURRENCY": str(workers)}, trial=replace(tried, limits=None)), tmp_path)

        assert only(found, "memory").severity in {"ok", "warning"}


def test_what_cannot_be_known_is_not_judged(tmp_path: Path) -> None:
    assert "note" == only(look(deployment(), tmp_path), "memory").severity


def test_more_workers_than_cpus_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    for cpus, workers, severity in (
        (1, 2, "ok"),
        (1, 3, "warning"),
        (2, 2, "ok"),
        (4, 4, "ok"),
        (4, 5, "warning"),
        (4, 1, "ok"),
    ):
        monkeypatch.setattr(resources, "usable_cpus", lambda cpus=cpus: cpus)

        assert severity == only(look(deployment({"WEB_CONCURRENCY": str(workers)})), "cpus").severity


def test_a_store_in_memory_and_with_room_is_in_order() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        finding = only(look(deployment({VARIABLE: f"{folder}/of/its/own", "WEB_CONCURRENCY": "3"})), "store")

        assert "ok" == finding.severity
        assert "(tmpfs) and has room for 4 MiB" in finding.text
        assert [] == [*Path(folder).iterdir()]


def test_a_store_on_a_disk_is_a_warning(tmp_path: Path) -> None:
    kind = file_system(tmp_path)
    finding = only(look(deployment({VARIABLE: str(tmp_path)})), "store")

    assert ("ok" if kind == "tmpfs" else "warning") == finding.severity
    assert str(kind) in finding.text


def test_a_place_that_cannot_be_written_is_an_error() -> None:
    """Root is no exception."""
    finding = only(look(deployment({VARIABLE: "/proc/store"})), "store")

    assert "error" == finding.severity
    assert "cannot be written in /proc" in finding.text


def test_a_file_system_that_is_full_is_an_error() -> None:
    """A tmpfs in its own namespace, with 2 of 3 MiB used."""
    script = f"""
        mount -t tmpfs -o size=2m tmpfs /mnt
        TMPDIR=/mnt {BIN}/python -m service check
        ls -A /mnt
    """
    done = subprocess.run(
        in_namespace(script),
        env={**clean_environ(), "WEB_CONCURRENCY": "2"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "error    store" in done.stdout
    told = " ".join(done.stdout.split())  # the width of the table depends on the terminal
    assert "needs 3 MiB, which cannot be written in /mnt: No space left on device." in told
    assert done.stdout.endswith("ok\n")  # the folder is empty again


def test_files_of_others_in_the_chosen_folder_are_a_warning(tmp_path: Path) -> None:
    for name in ("config.json", "counter_7.db"):
        (tmp_path / name).write_text("{}")
    found = [*look(deployment({VARIABLE: str(tmp_path)}))]

    assert "counter_7.db of another program would be removed" in found[0].text
    assert "warning" == found[0].severity
    assert (tmp_path / "counter_7.db").exists()


def test_one_process_has_no_store_unless_it_is_told_to(tmp_path: Path) -> None:
    assert [] == [each for each in look(deployment(server="waitress")) if each.subject == "store"]
    assert only(look(deployment({VARIABLE: str(tmp_path)}, "waitress")), "store").text


def test_the_innermost_mount_says_which_file_system_it_is(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/vda / ext4 rw 0 0\n/dev/vdb {tmp_path} xfs rw 0 0\ntmpfs {tmp_path}/a\\040b tmpfs rw 0 0\n"
    )
    (tmp_path / "a b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a b")

    kinds = [file_system(path, mounts) for path in (Path("/"), tmp_path, tmp_path / "link" / "x")]
    assert ["ext4", "xfs", "tmpfs"] == kinds
    assert None is file_system(tmp_path, tmp_path / "absent")
