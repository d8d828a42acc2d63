"""``python -m benchmark.guard``: a check that fails if the CPU per request rises a lot. It takes seconds.

Bare Flask and this service run at the same time, with one worker each. One client loads them in turns and waits for
each response. So no thread contends for the GIL, and the CPU time varies little even on a busy machine. `make bench`
measures contention.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack

from benchmark import window
from benchmark.server import FailedError, Server, serving
from benchmark.subject import REFERENCE, SUBJECTS, Subject
from benchmark.summary import Summary, ratios
from benchmark.wrk import MissingError

LIMIT = 1.15
"""Limit as a multiple of bare Flask's CPU. It is far above the usual 0.6, so noise does not exceed it."""
ROUNDS = 5
ONE_AT_A_TIME = 1


def check(subject: Subject, rounds: int = ROUNDS, tell: Callable[[str], object] = print) -> bool:
    """Compare, report the ratio, and return whether it is within the limit. If it is not, try once more."""
    with ExitStack() as stack:
        reference, other = [stack.enter_context(serving(one, workers=1)) for one in (SUBJECTS[REFERENCE], subject)]
        for server in (reference, other):
            window.warm_up(server, ONE_AT_A_TIME)
        for _ in range(2):
            pairs = [(_cpu_us(reference), _cpu_us(other)) for _ in range(rounds)]
            theirs, ours = zip(*pairs, strict=True)
            ratio = ratios(ours, theirs)
            tell(
                f"CPU per request: bare Flask {Summary.of(theirs).show(0)} us, {subject.title} "
                f"{Summary.of(ours).show(0)} us: {ratio.show(2)} times as much; more than {LIMIT:.2f} fails"
            )
            if ratio.median <= LIMIT:
                return True
    return False


def _cpu_us(server: Server) -> float:
    return window.measure(server, 1, ONE_AT_A_TIME).cpu_us


def main() -> int:
    """Return the exit code."""
    try:
        return 0 if check(SUBJECTS["service"]) else 1
    except (FailedError, MissingError) as error:
        print("\n".join([f"benchmark: {error}", *getattr(error, "__notes__", ())]), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
