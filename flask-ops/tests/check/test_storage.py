"""Findings of `check` about the metrics store and the heartbeat."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from flask_ops.cli.check.storage import file_system, look
from tests.check.checking import check, deployment, only
from tests.namespaces import in_namespace
from tests.process import BIN, PROJECT, clean_environ

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder is made in it safely


def test_in_memory_and_with_room_all_is_well() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        finding = only(look(deployment({VARIABLE: f"{folder}/of/its/own", "WEB_CONCURRENCY": "3"})), "store")

        assert "ok" == finding.severity
        assert "(tmpfs) and has room for 4 MiB" in finding.text
        assert [] == [*Path(folder).iterdir()]


def test_a_disk_is_a_warning(tmp_path: Path) -> None:
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
    assert "/mnt has less than 3 MiB left" in done.stdout
    assert done.stdout.endswith("ok\n")  # the folder is empty again


def test_files_of_others_in_the_chosen_folder_are_a_warning(tmp_path: Path) -> None:
    for name in ("config.json", "counter_7.db"):
        (tmp_path / name).write_text("{}")
    found = [*look(deployment({VARIABLE: str(tmp_path)}))]

    assert "counter_7.db of another program would be removed" in found[0].text
    assert "warning" == found[0].severity
    assert (tmp_path / "counter_7.db").exists()


def test_one_process_has_no_store_unless_it_is_told_to(tmp_path: Path) -> None:
    assert [] == [*look(deployment(server="waitress"))]
    assert [] != [*look(deployment({VARIABLE: str(tmp_path)}, "waitress"))]


@pytest.mark.system
def test_a_heartbeat_that_cannot_be_written_is_an_error() -> None:
    found = check(environ={"GUNICORN_CMD_ARGS": "--worker-tmp-dir /nowhere"})

    assert ["No worker could start: this user cannot write to worker_tmp_dir, /nowhere."] == found.texts(
        "heartbeat", "error"
    )


def test_the_innermost_mount_says_which_file_system_it_is(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
        f"28 27 0:1 / {tmp_path} rw shared:1 - xfs /dev/vdb rw\n"
        f"29 28 0:2 / {tmp_path}/a\\040b rw - tmpfs tmpfs rw\n"
    )
    (tmp_path / "a b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a b")

    kinds = [file_system(path, tmp_path / "mountinfo") for path in (Path("/"), tmp_path, tmp_path / "link" / "x")]
    assert ["ext4", "xfs", "tmpfs"] == kinds
    assert None is file_system(tmp_path, tmp_path / "absent")
