"""The layout of one file of counts: where its keys and values are. Without it, each scrape would parse every key again.

A file only grows at its end, so a scrape needs to parse new entries only. It checks that all keys are still the same,
because a file may be replaced by another one of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, unpack_from
from typing import Any

HEADER = 8
"""Bytes before the first entry."""


class Layout:
    """The entries of a file.

    ``keys`` are in their order in the file, each with its length before it. ``places`` are where their values belong in
    the sums over all files.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.keys = tuple(keys)
        self.places: Sequence[int] = ()
        # A value and its timestamp follow the padding of their key. One unpack() gets all keys and values.
        self._entries = Struct("=" + "".join(f"{len(key)}s{8 - len(key) % 8}xd8x" for key in keys))

    def values(self, data: bytes) -> tuple[float, ...] | None:
        """Return the value of each entry of the file with the content ``data``. Return None if it has other entries."""
        used = HEADER + self._entries.size
        if unpack_from("i", data)[0] != used or len(data) < used:
            return None
        entries: tuple[Any, ...] = self._entries.unpack_from(data, HEADER)
        return entries[1::2] if entries[::2] == self.keys else None

    def add(self, values: Sequence[float], sums: list[float]) -> None:
        """Add the value of each entry to the sum in its place."""
        for place, value in zip(self.places, values, strict=True):
            sums[place] += value
