"""``python -m benchmark.guard``: has a request become grossly dearer? Seconds long, for every run of the gate.

Bare Flask and this service run side by side, one worker each, and are loaded in turns by one client that
waits for each answer: nothing is hoarded and no thread contends for the GIL, so that CPU time scatters
little even on a machine that is busy otherwise. Contention is for `make bench` to measure.
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

LIMIT = 1.5
"""Times the CPU of bare Flask. Far beyond what a request costs, so that noise never reaches it."""
ROUNDS = 5
ONE_AT_A_TIME = 1


def check(subject: Subject, rounds: int = ROUNDS, tell: Callable[[str], object] = print) -> bool:
    """Compare and tell; where the ratio is beyond the limit, do so once more before it counts."""
    with ExitStack() as stack:
        reference, other = [stack.enter_context(serving(one, workers=1)) for one in (SUBJECTS[REFERENCE], subject)]
        for server in (reference, other):
            window.warm_up(server, ONE_AT_A_TIME)
        for _ in range(2):
            pairs = [(_cpu_us(reference), _cpu_us(other)) for _ in range(rounds)]
            theirs, ours = zip(*pairs, strict=True)
            ratio = ratios(ours, theirs)
            tell(
                f"CPU a request: bare Flask {Summary.of(theirs).show(0)} us, {subject.title} "
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
