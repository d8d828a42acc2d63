"""The plan of a benchmark run: the series, the subjects, the rounds and the durations."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.subject import REFERENCE, SUBJECTS, Subject

SERIES = ("load", "clients", "scrapes", "scraped", "saturation", "overload", "memory", "startup", "growth")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of a run. ``seconds`` is the length of one window of load.

    ``recycled`` has the numbers of recycled workers after which scrapes are measured.
    """

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
        """Return the subjects whose metrics cover all workers."""
        return [subject for subject in self.subjects if subject.scrape]

    @classmethod
    def parse(cls, arguments: Sequence[str] | None = None) -> Plan:
        """Parse the command line. If it is invalid, print the reason and raise SystemExit."""
        parser = argparse.ArgumentParser(prog="python -m benchmark", description=__doc__)
        parser.add_argument(
            "--rounds", type=_number(1, 100), default=5, help="number of interleaved rounds (default: %(default)s)"
        )
        parser.add_argument(
            "--seconds", type=_number(1, 60), default=6, help="length of a load window (default: %(default)s)"
        )
        parser.add_argument("--subjects", type=_names(SUBJECTS), default=",".join(SUBJECTS), help="some of %(default)s")
        parser.add_argument("--series", type=_names(SERIES), default=",".join(SERIES), help="some of %(default)s")
        parser.add_argument(
            "--recycled",
            type=_numbers(0, 10_000),
            default="0,50,500,2000",
            help="recycled workers (default: %(default)s)",
        )
        parser.add_argument(
            "--routes", type=_numbers(0, 5_000), default="10,100,1000", help="routes (default: %(default)s)"
        )
        parser.add_argument("--workers", type=_numbers(1, 32), default="1,2,4,8", help="workers (default: %(default)s)")
        parser.add_argument(
            "--log-bytes",
            type=_numbers(0, 2**36),
            default="0,1073741824",
            help="bytes already in the log (default: %(default)s)",
        )
        parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the results")
        options = parser.parse_args(arguments)
        if REFERENCE not in options.subjects:
            options.subjects.insert(0, REFERENCE)
        return cls(**{**vars(options), "subjects": [SUBJECTS[name] for name in options.subjects]})


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
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
