"""Several increments at once.

prometheus_client takes its lock and asks for the process ID at each increment. That is most of the cost of one. Without
this module, the four increments of a request would cost twice as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask_ops.metrics.store_files import check_of, closure_of

Increment = tuple[Any, float]
"""A value of a metric in prometheus_client, and what to add to it."""


def increase_of(value: Any) -> Callable[[Iterable[Increment]], None]:
    """Return the function that makes several increments of values of the same class as ``value``."""
    if not value._multiprocess:
        return _one_by_one
    check = check_of(type(value))
    lock = closure_of(type(value).inc)["lock"].cell_contents

    def increase(increments: Iterable[Increment]) -> None:
        with lock:
            check(value)
            for each, amount in increments:
                each._value += amount
                each._timestamp = 0.0
                each._file.write_value(each._key, each._value, 0.0)

    return increase


def _one_by_one(increments: Iterable[Increment]) -> None:
    for value, amount in increments:
        value.inc(amount)
