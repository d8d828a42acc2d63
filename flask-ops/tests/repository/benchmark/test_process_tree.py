"""CPU time and memory of a tree of processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmark import process_tree

BURNED = 0.2
PARENT = f"""
import os, subprocess, sys, time
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < {BURNED}: pass"])
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
input()
child.communicate()
"""


def test_a_name_with_brackets_and_spaces_does_not_shift_the_fields() -> None:
    text = "12 (a) b (c) S 7 12 12 0 -1 4194560 90 0 0 0 100 50 25 25 20 0 4 0 1000"

    assert process_tree.Stat(parent=7, cpu_seconds=2.0) == process_tree.parse_stat(text)


def test_the_proportional_size_is_read_in_bytes() -> None:
    assert 2048 == process_tree.parse_pss(
        "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss: 9 kB\nPss: 2 kB\nPss_Anon: 1 kB\n"
    )
    with pytest.raises(ValueError, match="no line Pss"):
        process_tree.parse_pss("Rss: 9 kB\n")


def test_living_and_ended_children_count() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())

        cpu = process_tree.cpu_seconds(parent.pid)
        assert {parent.pid, child} == set(cpu)
        assert cpu[parent.pid] >= BURNED
        assert [child] == process_tree.children(parent.pid) == process_tree.descendants(parent.pid)
        assert min(process_tree.pss_bytes(cpu)) > 100_000
        parent.communicate(b"\n")

    assert {} == process_tree.cpu_seconds(parent.pid)
