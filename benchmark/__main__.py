"""``python -m benchmark``: the command that measures, prints the tables and writes the results."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from benchmark import machine
from benchmark.plan import Plan
from benchmark.results import MODULES, write
from benchmark.server import FailedError
from benchmark.wrk import MissingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code. Print the reason and return 1 if a measurement fails."""
    plan = Plan.parse(arguments)
    where = {**machine.describe(), "rounds": plan.rounds, "seconds": plan.seconds}
    results = {}
    tables = ""
    try:
        for name, module in MODULES.items():
            if name in plan.series:
                begin = time.monotonic()
                results[name] = list(module.measure(plan))
                tables = write(plan.output, where, results)  # so they are saved if the next series fails
                print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    except (FailedError, MissingError) as error:
        print("\n".join([f"benchmark: {error}", *getattr(error, "__notes__", ())]), file=sys.stderr)
        return 1
    print(tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
