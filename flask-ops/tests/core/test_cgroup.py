"""The cgroups that limit a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_ops.core.cgroup import levels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0::/\n", [""]),
        ("0::/a/b\n", ["a/b", "a", ""]),
        ("4:memory:/a\n3:cpu,cpuacct:/b\n", ["memory/a", "memory"]),
        ("4:memory:/\n0::/a\n", ["memory", "a", ""]),
        ("4:cpu,memory:/a:b\n", ["memory/a:b", "memory"]),
        ("", []),
        ("nonsense\n", [""]),
    ],
)
def test_the_innermost_comes_first(text: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(text)

    assert [tmp_path / "sys/fs/cgroup" / path for path in expected] == [*levels("memory", tmp_path)]


def test_there_is_none_where_there_is_no_proc(tmp_path: Path) -> None:
    assert [] == [*levels("memory", tmp_path)]
