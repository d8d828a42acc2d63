"""Medians, ranges, ratios."""

from __future__ import annotations

import pytest

from benchmark.summary import Summary, percentile, ratios


def test_a_summary_shows_median_and_range() -> None:
    assert "2,000.5 (1,000.0-3,000.0)" == Summary.of([3000, 1000, 2000.5]).show(1)
    assert "1.00" == Summary.of([1.0, 1.0]).show(2)
    with pytest.raises(ValueError, match="no measurements"):
        Summary.of([])


def test_ratios_are_taken_within_a_round() -> None:
    """Both subjects took ten times as long in the second round, so the ratio is the same."""
    assert Summary(2.0, 2.0, 2.0) == ratios([2.0, 20.0], [1.0, 10.0])
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


def test_percentiles() -> None:
    assert 99 == percentile(range(100), 99)
    assert 7 == percentile([7], 50)
