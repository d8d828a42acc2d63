from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from flask_ops.core.cpus import usable_cpus

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


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(
    ("cgroups", "files", "expected"),
    [
        pytest.param("0::/\n", {"cpu.max": "200000 100000\n"}, 2, id="quota"),
        pytest.param("0::/\n", {"cpu.max": "150000 50000\n"}, 3, id="quota of another period"),
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 2, id="half a CPU is rounded up"),
        pytest.param("0::/\n", {"cpu.max": "100001 100000\n"}, 2, id="a trace of a CPU is rounded up"),
        pytest.param("0::/\n", {"cpu.max": "10000 100000\n"}, 1, id="never less than one"),
        pytest.param("0::/\n", {"cpu.max": "1600000 100000\n"}, CPUS, id="more than the scheduler grants"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, CPUS, id="no quota"),
        pytest.param("0::/a\n", {"a/cpu.max": "300000 100000\n"}, 3, id="own group"),
        pytest.param(
            "0::/a/b\n", {"a/cpu.max": "600000 100000\n", "a/b/cpu.max": "300000 100000\n"}, 3, id="inner is smaller"
        ),
        pytest.param(
            "0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "600000 100000\n"}, 3, id="outer is smaller"
        ),
        pytest.param(
            "0::/a/b/c\n",
            {"cpu.max": "500000 100000\n", "a/cpu.max": "max 100000\n", "a/b/c/cpu.max": "max 100000\n"},
            5,
            id="only the outermost limits",
        ),
        pytest.param("0::/a\n", {"b/cpu.max": "100000 100000\n"}, CPUS, id="another group's quota"),
        pytest.param("0::/a\n", {"a/b/cpu.max": "100000 100000\n"}, CPUS, id="quota of a group below"),
        pytest.param("0::/a:b\n", {"a:b/cpu.max": "300000 100000\n"}, 3, id="colon in the name"),
        pytest.param("0::/docker/1f\n", {"cpu.max": "300000 100000\n"}, 3, id="container that sees its own group only"),
    ],
)
def test_a_quota_of_cgroup_version_2_limits(
    tmp_path: Path, cgroups: str, files: Mapping[str, str], expected: int
) -> None:
    """The smallest quota between the group and the root counts, rounded up."""
    assert expected == usable_cpus(machine(tmp_path, cgroups, files))


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(
    ("cgroups", "files", "expected"),
    [
        pytest.param("4:cpu,cpuacct:/a\n", v1("/a", "250000\n"), 3, id="quota"),
        pytest.param("4:cpuacct,cpu:/a\n", v1("/a", "250000\n"), 3, id="controllers in another order"),
        pytest.param("4:cpu:/a\n", v1("/a", "100000\n", "50000\n"), 2, id="quota of another period"),
        pytest.param("4:cpu:/a\n", v1("/a", "-1\n"), CPUS, id="no quota"),
        pytest.param("4:cpu:/a/b\n", {**v1("/a", "300000\n"), **v1("/a/b", "600000\n")}, 3, id="outer is smaller"),
        pytest.param("4:cpu:/a/b\n", {**v1("/a", "600000\n"), **v1("/a/b", "300000\n")}, 3, id="inner is smaller"),
        pytest.param("4:cpu:/docker/1f\n", v1("", "300000\n"), 3, id="container that sees its own group only"),
        pytest.param("5:cpuset:/a\n6:memory:/a\n", v1("/a", "100000\n"), CPUS, id="groups of other controllers"),
        pytest.param("6:memory:/b\n4:cpu:/a\n", v1("/a", "300000\n"), 3, id="cpu is not the first line"),
        pytest.param(
            "4:cpu:/a\n0::/b\n", {**v1("/a", "500000\n"), "b/cpu.max": "300000 100000\n"}, 3, id="both versions"
        ),
    ],
)
def test_a_quota_of_cgroup_version_1_limits(
    tmp_path: Path, cgroups: str, files: Mapping[str, str], expected: int
) -> None:
    """Only the hierarchy with the cpu controller limits the CPUs."""
    assert expected == usable_cpus(machine(tmp_path, cgroups, files))


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(
    ("cgroups", "files"),
    [
        pytest.param("", {"cpu.max": "100000 100000\n"}, id="process in no group"),
        pytest.param("0::/\n", {}, id="no file"),
        pytest.param("0::/\n", {"cpu.max": ""}, id="empty"),
        pytest.param("0::/\n", {"cpu.max": "100000\n"}, id="no period"),
        pytest.param("0::/\n", {"cpu.max": "100000 100000 100000\n"}, id="a third field"),
        pytest.param("0::/\n", {"cpu.max": "many 100000\n"}, id="no number"),
        pytest.param("0::/\n", {"cpu.max": "1.5 1\n"}, id="no whole number"),
        pytest.param("0::/\n", {"cpu.max/is-a-directory": ""}, id="a directory"),
        pytest.param("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "100000\n"}, id="version 1 without a period"),
        pytest.param("4:cpu:/\n", {"cpu/cpu.cfs_period_us": "100000\n"}, id="version 1 without a quota"),
        pytest.param("4:cpu:/\n", v1("", "many\n"), id="version 1 without a number"),
    ],
)
def test_a_quota_that_cannot_be_read_limits_nothing(tmp_path: Path, cgroups: str, files: Mapping[str, str]) -> None:
    """The scheduler's number then counts."""
    expected = CPUS

    assert expected == usable_cpus(machine(tmp_path, cgroups, files))


@pytest.mark.usefixtures("eight_cpus")
def test_an_unreadable_quota_does_not_hide_another(tmp_path: Path) -> None:
    """The levels above an unreadable quota still limit."""
    expected = 3
    root = machine(tmp_path, "0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "many\n"})

    assert expected == usable_cpus(root)


@pytest.mark.usefixtures("eight_cpus")
def test_without_proc_the_scheduler_decides(tmp_path: Path) -> None:
    """Not every platform has cgroups."""
    expected = CPUS

    assert expected == usable_cpus(tmp_path)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the platform has no CPU affinity")
def test_a_process_bound_to_one_cpu_may_use_one(tmp_path: Path) -> None:
    """The affinity counts, not the number of CPUs of the machine."""
    expected = 1
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        counted = usable_cpus(tmp_path)
    finally:
        os.sched_setaffinity(0, before)

    assert expected == counted


@pytest.mark.parametrize(("count", "expected"), [(3, 3), (None, 1)])
def test_without_affinity_the_machine_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int | None, expected: int
) -> None:
    """If neither affinity nor the number of CPUs is known, there is one."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)

    assert expected == usable_cpus(tmp_path)


def test_the_machine_itself_is_asked_by_default() -> None:
    """Without a root, the real files are read and give a plausible number."""
    assert usable_cpus() in range(1, (os.cpu_count() or 1) + 1)
