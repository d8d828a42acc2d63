"""The permission to start background threads in this process. Tests withdraw it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_forbidden = 0


def is_allowed() -> bool:
    """Tell whether background threads may be started."""
    return not _forbidden


@contextlib.contextmanager
def forbidden() -> Iterator[None]:
    """Start no background threads during the block."""
    global _forbidden  # noqa: PLW0603 - one counter for the process
    _forbidden += 1
    try:
        yield
    finally:
        _forbidden -= 1
