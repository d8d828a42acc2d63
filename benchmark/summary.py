"""Summaries of measurements: the median and the range."""

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
        """Summarise the values. Raise ValueError if there are none."""
        if not values:
            raise ValueError("no measurements")
        return cls(statistics.median(values), min(values), max(values))

    def show(self, digits: int) -> str:
        """Return ``median (low-high)``, or only the median if all are equal."""
        low, median, high = (f"{value:,.{digits}f}" for value in (self.low, self.median, self.high))
        return median if low == high else f"{median} ({low}-{high})"


def ratios(values: Sequence[float], reference: Sequence[float]) -> Summary:
    """Summarise the ratios to the reference in the same round.

    A disturbance that slows both does not change the ratio. Raise ValueError if the numbers of rounds differ.
    """
    return Summary.of([value / other for value, other in zip(values, reference, strict=True)])


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that is not below ``percent`` percent of all values."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]
