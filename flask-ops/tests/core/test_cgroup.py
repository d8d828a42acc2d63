"""The cgroups that limit a process, and the CPUs that they leave it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from flask_ops.core.cgroup import levels, usable_cpus

CPUS = 8
"""The number of CPUs that the tests with a quota simulate; few machines have as many."""


def machine(root: Path, cgroups: str, files: Mapping[str, str]) -> Path:
    """Create a machine's files below ``root``: the cgroups of the process, and files below ``/sys/fs/cgroup``."""
    for name, content in {"proc/self/cgroup": cgroups, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


def v1(group: str, quota: str, period: str = "100000\n") -> dict[str, str]:
    """Return the two files in which version 1 keeps a quota."""
    return {f"cpu{group}/cpu.cfs_quota_us": quota, f"cpu{group}/cpu.cfs_period_us": period}


@pytest.fixture
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate eight CPUs, on any platform."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(CPUS)), raising=False)


def test_the_innermost_group_comes_first(tmp_path: Path) -> None:
    for text, expected in {
        "0::/\n": [""],
        "0::/a/b\n": ["a/b", "a", ""],
        "4:memory:/a\n3:cpu,cpuacct:/b\n": ["memory/a", "memory"],
        "4:memory:/\n0::/a\n": ["memory", "a", ""],
        "4:cpu,memory:/a:b\n": ["memory/a:b", "memory"],
        "": [],
        "nonsense\n": [""],
    }.items():
        machine(tmp_path, text, {})
        assert [tmp_path / "sys/fs/cgroup" / path for path in expected] == [*levels("memory", tmp_path)], text
    assert [] == [*levels("memory", tmp_path / "without-proc")]


V2 = {
    "quota": ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
    "quota of another period": ("0::/\n", {"cpu.max": "150000 50000\n"}, 3),
    "half a CPU is rounded up": ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
    "a trace of a CPU is rounded up": ("0::/\n", {"cpu.max": "100001 100000\n"}, 2),
    "never less than one": ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
    "more than the scheduler grants": ("0::/\n", {"cpu.max": "1600000 100000\n"}, CPUS),
    "no quota": ("0::/\n", {"cpu.max": "max 100000\n"}, CPUS),
    "inner is smaller": ("0::/a/b\n", {"a/cpu.max": "600000 100000\n", "a/b/cpu.max": "300000 100000\n"}, 3),
    "outer is smaller": ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "600000 100000\n"}, 3),
    "only the outermost limits": ("0::/a/b\n", {"cpu.max": "500000 100000\n", "a/b/cpu.max": "max 100000\n"}, 5),
    "another group's quota": ("0::/a\n", {"b/cpu.max": "100000 100000\n"}, CPUS),
    "quota of a group below": ("0::/a\n", {"a/b/cpu.max": "100000 100000\n"}, CPUS),
    "colon in the name": ("0::/a:b\n", {"a:b/cpu.max": "300000 100000\n"}, 3),
    "container that sees its own group only": ("0::/docker/1f\n", {"cpu.max": "300000 100000\n"}, 3),
}
V1 = {
    "quota": ("4:cpu,cpuacct:/a\n", v1("/a", "250000\n"), 3),
    "controllers in another order": ("4:cpuacct,cpu:/a\n", v1("/a", "250000\n"), 3),
    "quota of another period": ("4:cpu:/a\n", v1("/a", "100000\n", "50000\n"), 2),
    "no quota": ("4:cpu:/a\n", v1("/a", "-1\n"), CPUS),
    "outer is smaller": ("4:cpu:/a/b\n", {**v1("/a", "300000\n"), **v1("/a/b", "600000\n")}, 3),
    "container that sees its own group only": ("4:cpu:/docker/1f\n", v1("", "300000\n"), 3),
    "groups of other controllers": ("5:cpuset:/a\n6:memory:/a\n", v1("/a", "100000\n"), CPUS),
    "cpu is not the first line": ("6:memory:/b\n4:cpu:/a\n", v1("/a", "300000\n"), 3),
    "both versions": ("4:cpu:/a\n0::/b\n", {**v1("/a", "500000\n"), "b/cpu.max": "300000 100000\n"}, 3),
}
UNREADABLE = {
    "process in no group": ("", {"cpu.max": "100000 100000\n"}, CPUS),
    "no file": ("0::/\n", {}, CPUS),
    "empty": ("0::/\n", {"cpu.max": ""}, CPUS),
    "no period": ("0::/\n", {"cpu.max": "100000\n"}, CPUS),
    "a third field": ("0::/\n", {"cpu.max": "100000 100000 100000\n"}, CPUS),
    "no number": ("0::/\n", {"cpu.max": "many 100000\n"}, CPUS),
    "no whole number": ("0::/\n", {"cpu.max": "1.5 1\n"}, CPUS),
    "a directory": ("0::/\n", {"cpu.max/is-a-directory": ""}, CPUS),
    "version 1 without a period": ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "100000\n"}, CPUS),
    "version 1 without a quota": ("4:cpu:/\n", {"cpu/cpu.cfs_period_us": "100000\n"}, CPUS),
    "the levels above still limit": ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "many\n"}, 3),
}


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize("cases", [V2, V1, UNREADABLE], ids=["version 2", "version 1", "unreadable"])
def test_the_smallest_quota_limits(tmp_path: Path, cases: Mapping[str, tuple[str, Mapping[str, str], int]]) -> None:
    """All levels between the group and the root count. An unreadable quota limits nothing."""
    found = {name: usable_cpus(machine(tmp_path / name, *case[:2])) for name, case in cases.items()}

    assert {name: expected for name, (_, _, expected) in cases.items()} == found


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the platform has no CPU affinity")
def test_a_process_bound_to_one_cpu_may_use_one(tmp_path: Path) -> None:
    """The affinity counts, not the number of CPUs of the machine."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        counted = usable_cpus(tmp_path)
    finally:
        os.sched_setaffinity(0, before)

    assert 1 == counted


def test_without_affinity_and_cgroups_the_machine_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the number of CPUs is unknown, there is one."""
    assert usable_cpus() in range(1, (os.cpu_count() or 1) + 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for count, expected in [(3, 3), (None, 1)]:
        monkeypatch.setattr(os, "cpu_count", lambda: count)  # noqa: B023 - called at once
        assert expected == usable_cpus(tmp_path)
