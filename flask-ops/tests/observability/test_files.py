"""The files of `flask_ops.observability`, and their copy in a folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from flask_ops.observability import DifferentFilesError, files, write
from tests.observability.files import FILES, SHIPPED
from tests.process import BIN, clean_environ


def test_files_are_what_the_package_has_under_paths_with_slashes() -> None:
    shipped = {path.relative_to(SHIPPED).as_posix(): path.read_text() for path in SHIPPED.rglob("*") if path.is_file()}

    assert shipped == files()
    assert {"rules/alerts.yml", "grafana/dashboards/service.json", "runbook.md", "tests/causes.yml"} <= set(shipped)


def test_no_rule_selects_a_service_or_contains_an_objective() -> None:
    """So they serve any number of services. promtool's cases have several."""
    for name in ("rules/alerts.yml", "rules/service.yml", "rules/slo.yml", "runbook.md"):
        assert [] == re.findall(r"""job=\W*["']\w.*|vector\(0.*|le=.*|https?://(?!INSTANCE)\S+""", FILES[name]), name


def test_the_folder_is_made_and_only_what_differs_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"

    assert sorted(folder / name for name in FILES) == sorted(write(folder))
    assert FILES == texts(folder)
    (folder / "runbook.md").unlink()
    assert [folder / "runbook.md"] == write(str(folder))
    assert [] == write(folder)


def texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_that_differ_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    changed = [tmp_path / "rules" / "slo.yml", tmp_path / "runbook.md"]
    for path in changed:
        path.write_bytes(b"mine \xff\n")

    with pytest.raises(DifferentFilesError) as refused:
        write(tmp_path)

    assert changed == refused.value.paths
    assert all(str(path) in str(refused.value) for path in changed)
    assert changed == sorted(path for path in tmp_path.rglob("*") if path.is_file())


def test_force_replaces_what_differs_and_leaves_other_files(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "runbook.md").write_text("mine\n")
    (tmp_path / "rules" / "mine.yml").write_text("groups: []\n")

    assert [tmp_path / "runbook.md"] == write(tmp_path, force=True)
    assert {**FILES, "rules/mine.yml": "groups: []\n"} == texts(tmp_path)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    command: list[str | Path] = [BIN / "python", "-m", "flask_ops", "observability", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environ())
    return done.returncode, done.stdout, done.stderr


def test_the_command_prints_what_it_has_written(tmp_path: Path) -> None:
    expected = "".join(f"wrote {tmp_path / name}\n" for name in FILES)

    assert (0, expected, "") == run(tmp_path)
    assert FILES == texts(tmp_path)
    assert (0, f"{tmp_path} has all files of this version already\n", "") == run(tmp_path)


def test_the_command_refuses_to_overwrite_what_differs(tmp_path: Path) -> None:
    changed = tmp_path / "runbook.md"
    changed.write_text("mine\n")

    code, said, error = run(tmp_path)
    assert (1, "") == (code, said)
    assert f"these files differ from this version:\n  {changed}\nNothing was written." in error
    assert "--force" in error

    assert 0 == run(tmp_path, "--force")[0]
    assert FILES == texts(tmp_path)


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    """Even root cannot create a file in /proc."""
    file, taken = tmp_path / "file", tmp_path / "taken"
    file.touch()
    (taken / "runbook.md").mkdir(parents=True)
    for folder in (file, file / "below", taken, Path("/proc/self/observability")):
        code, said, error = run(folder)

        assert (1, "") == (code, said), folder
        assert re.fullmatch(rf"cannot write {folder}\S*: [\w ]+\n", error)
