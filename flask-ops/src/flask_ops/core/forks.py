"""The hooks that give a forked child its own state, in the order of registration.

Without them, a child would wait for locks that no thread releases, write its parent's log lines, and count in its
parent's files. Four modules also act before a fork and in the parent, and register by themselves: ``core.fork_gate``,
``metrics.store_files``, ``servers.gunicorn.early_signals`` and ``servers.gunicorn.raw_output``.
"""

from __future__ import annotations

import os
from collections.abc import Callable

_hooks: list[Callable[[], None]] = []


def in_child(hook: Callable[[], None]) -> None:
    """Call ``hook`` in each child that Python forks from now on. Windows does not fork."""
    _hooks.append(hook)


def _call_hooks() -> None:
    for hook in _hooks:
        hook()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_call_hooks)
