"""The benchmark of the parts of a request."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.process import REPOSITORY, clean_environ


@pytest.mark.system
def test_it_prints_the_cost_of_each_part() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.parts"],
        env=clean_environ(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
    costs = dict(re.findall(r"^\| (.*) \| ([0-9.]+) \|$", done.stdout, re.MULTILINE))
    assert 3 == len(costs)
    assert all(0 < float(cost) for cost in costs.values()), costs
