"""The permission to start background threads in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Background:
    """The permission, which tests withdraw. Otherwise the checks of an application would run beside its test."""

    def __init__(self) -> None:
        self.is_allowed = True

    @contextlib.contextmanager
    def forbidden(self) -> Iterator[None]:
        """Start no background threads during the block."""
        before, self.is_allowed = self.is_allowed, False
        try:
            yield
        finally:
            self.is_allowed = before


BACKGROUND = Background()
