"""Values and settings for tests with hypothesis: bounded, without a deadline, and without files."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    # All examples share a server on purpose, and a busy machine is slow.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""A decorator for tests; ``FUZZ_EXAMPLES`` sets the number of examples."""


class Raises:
    """An object whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Give hypothesis a text to print."""
        printer.text("Raises()")


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append({"circle": circle})
    return circle


TEXT = st.text(st.characters(exclude_categories=()), max_size=50)
"""Text with control characters and lone surrogates."""

_SCALARS = st.one_of(
    TEXT,
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=20),
    st.sets(st.integers(), max_size=3),
    st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), "x" * 100_000, ValueError, NotImplemented]),
    st.builds(Raises),
    st.builds(_circle),
    st.builds(pow, st.just(10), st.just(5000)),
)
VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(
            st.one_of(TEXT, st.integers(), st.none(), st.tuples(st.integers()), st.binary(max_size=3)),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)
"""Values of any kind that a program might log."""
