"""Tables."""

from __future__ import annotations

import pytest

from benchmark.markdown import table


def test_a_table_has_its_figures_on_the_right() -> None:
    assert "|  | a |\n| --- | ---: |\n| x | 1 |\n" == table(("", "a"), [("x", 1)])
    with pytest.raises(ValueError, match="must have 2 cells"):
        table(("", "a"), [("x",)])
