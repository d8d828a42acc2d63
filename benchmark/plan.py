"""What is to be measured, how often and for how long."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.subject import REFERENCE, SUBJECTS, Subject

SERIES = ("load", "scrapes", "saturation", "memory", "startup", "growth")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Plan:
    """``seconds`` is the length of one window of load; ``recycled`` are the numbers of workers to have ended."""

    subjects: Sequence[Subject]
    series: Sequence[str]
    rounds: int
    seconds: int
    recycled: Sequence[int]
    routes: Sequence[int]
    workers: Sequence[int]
    log_bytes: Sequence[int]
    output: Path

    def scraped(self) -> list[Subject]:
        """Return the subjects whose metrics are summed up over all workers."""
        return [subject for subject in self.subjects if subject.scrape]

    @classmethod
    def parse(cls, arguments: Sequence[str] | None = None) -> Plan:
        """Read the command line. Raises SystemExit where it makes no sense, after a line that says why."""
        parser = argparse.ArgumentParser(prog="python -m benchmark", description=__doc__)
        parser.add_argument("--rounds", type=_number(1, 100), default=5, help="interleaved rounds (%(default)s)")
        parser.add_argument("--seconds", type=_number(1, 60), default=6, help="of load a window (%(default)s)")
        parser.add_argument("--subjects", type=_names(SUBJECTS), default=",".join(SUBJECTS), help="of %(default)s")
        parser.add_argument("--series", type=_names(SERIES), default=",".join(SERIES), help="of %(default)s")
        parser.add_argument("--recycled", type=_numbers(0, 10_000), default="0,50,500,2000", help="(%(default)s)")
        parser.add_argument("--routes", type=_numbers(0, 5_000), default="10,100,1000", help="(%(default)s)")
        parser.add_argument("--workers", type=_numbers(1, 32), default="1,2,4,8", help="(%(default)s)")
        parser.add_argument(
            "--log-bytes", type=_numbers(0, 2**36), default="0,1073741824", help="already in the log (%(default)s)"
        )
        parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
        options = parser.parse_args(arguments)
        if REFERENCE not in options.subjects:
            options.subjects.insert(0, REFERENCE)
        return cls(**{**vars(options), "subjects": [SUBJECTS[name] for name in options.subjects]})


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {low} to {high}")
        return int(text)

    return parse


def _numbers(low: int, high: int) -> Callable[[str], list[int]]:
    parse = _number(low, high)
    return lambda text: [parse(part) for part in text.split(",")]


def _names(known: Sequence[str] | dict[str, Subject]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name for name in known if name in text.split(",")]
        if wrong := set(text.split(",")) - set(names):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(wrong))}: expected some of {', '.join(known)}")
        return names

    return parse
