"""What the server says of this process, where it was told otherwise than we: set by the server's hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

threads: int | None = None
"""How many requests it can serve at one time; None where ``SERVICE_THREADS`` counts."""

Condemn = Callable[[], list[dict[str, Any]]]
"""Reports as aborted the requests that hold every thread, and returns what is told of each: those that are lost
with the process. None where one has ended meanwhile."""

end_where: Callable[[Condemn], None] | None = None
"""Ends this process where such a function finds requests, and another one takes its place; None where none would."""
