"""``python -m observability.drill [FAULT ...]``: the command that runs the drill and prints a table."""

from __future__ import annotations

import argparse
import sys
import time

from observability.drill.faults import FAULTS, Fault
from observability.drill.run import Outcome, run
from observability.programs import Interrupted, MissingProgramError, end_by_signal

_FORMAT = "{:<19} {:<43} {:<45} {:>7}  {:<8}"


def main() -> int:
    """Return 0 if every expected alert arrives and is resolved, and no other alert of flask_ops arrives.

    After a signal, return 128 plus its number.
    """
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser("observability.drill", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"one of {', '.join(names)}; default: all of them")
    chosen = parser.parse_args().faults
    if unknown := [name for name in chosen if name not in names]:
        parser.error(f"unknown fault: {', '.join(unknown)}; expected one of {', '.join(names)}")
    end_by_signal()
    try:
        return drill([fault for fault in FAULTS if not chosen or fault.name in chosen])
    except MissingProgramError as missing:
        parser.error(str(missing))
    except Interrupted as interrupted:
        return 128 + interrupted.number


def drill(faults: list[Fault]) -> int:
    """Run these faults one after the other, each beside a healthy service of another team."""
    _say(_FORMAT.format("fault", "alerts expected", "alerts received", "seconds", "resolved"))
    outcomes = []
    begin = time.monotonic()
    for fault in faults:
        outcomes.append(run(fault))
        _say(_row(outcomes[-1]))
    expected = sum(len(outcome.fault.expected) for outcome in outcomes)
    missing = sum(len(outcome.missing) for outcome in outcomes)
    wrong = sum(len(outcome.wrong) for outcome in outcomes)
    received = expected - missing
    _say(
        f"recall {received}/{expected}, precision {received}/{received + wrong}, "
        f"{sum(outcome.resolved for outcome in outcomes)}/{len(outcomes)} resolved, "
        f"{time.monotonic() - begin:.0f} s"
    )
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _row(outcome: Outcome) -> str:
    names = sorted(outcome.fault.expected)
    received = [*sorted(outcome.arrived & outcome.fault.expected)]
    received += [f"({name})" for name in sorted(outcome.arrived & outcome.fault.allowed.keys())]
    received += [f"(yours: {name})" for name in sorted(outcome.own)]
    received += [f"WRONG: {name}" for name in sorted(outcome.wrong)]
    lines = []
    for i in range(max(len(names), len(received), 1)):
        first = i == 0
        lines.append(
            _FORMAT.format(
                outcome.fault.name if first else "",
                names[i] if i < len(names) else "-" if first else "",
                received[i] if i < len(received) else "-" if first else "",
                f"{outcome.detected:.1f}" if first and outcome.detected is not None else "",
                ("yes" if outcome.resolved else "NO") if first and names else "",
            )
        )
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the output of the command


if __name__ == "__main__":
    sys.exit(main())
