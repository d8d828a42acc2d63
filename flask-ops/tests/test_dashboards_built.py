"""The dashboards in the package data are what their sources build."""

from __future__ import annotations

from dashboards.__main__ import FOLDER, made


def test_the_checked_in_dashboards_are_up_to_date() -> None:
    """If this fails, run `make dashboards`."""
    assert made() == {path.name: path.read_text() for path in FOLDER.glob("*.json")}
