"""The hooks that give a forked child its own state, and a map of all code that runs at a fork.

Without the hooks, a child would wait for locks that no thread releases, write its parent's log lines, and count in its
parent's files.

- In every child: the users of ``in_child``.
- Before the fork and in the parent as well: ``core.fork_gate``, ``metrics.store_files`` and
  ``servers.gunicorn.early_signals``.
- In a worker of Gunicorn: ``Master.after_fork``. In a trial of new code: ``ReloadTrial``. In a worker of uWSGI, which
  runs no fork hooks of Python: ``servers.uwsgi.in_each_worker``. Under other servers: ``store.serve``, at the first
  request.
- Threads do not survive a fork. ``Runtime.start`` starts them in each process that serves.
"""

from __future__ import annotations

import os
from collections.abc import Callable


def in_child(hook: Callable[[], None]) -> None:
    """Call ``hook`` in each child that Python forks from now on."""
    if hasattr(os, "register_at_fork"):  # Windows does not fork
        os.register_at_fork(after_in_child=hook)
