"""Many rounds in three numbers: the median and the range."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """Median, smallest and largest of some measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Summarise. Raises ValueError where there is nothing to summarise."""
        if not values:
            raise ValueError("no measurements")
        return cls(statistics.median(values), min(values), max(values))

    def show(self, digits: int) -> str:
        """Return ``median (low-high)``; the median alone where all are equal."""
        low, median, high = (f"{value:,.{digits}f}" for value in (self.low, self.median, self.high))
        return median if low == high else f"{median} ({low}-{high})"


def ratios(values: Sequence[float], reference: Sequence[float]) -> Summary:
    """Summarise the ratio of each round to the reference in the same round: what slows both, slows neither.

    Raises ValueError where the rounds do not match.
    """
    return Summary.of([value / other for value, other in zip(values, reference, strict=True)])


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that is not below ``percent`` of all."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]
