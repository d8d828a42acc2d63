"""Waitress runs on Windows, so nothing that it imports may need Unix."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process import BIN, running

pytestmark = pytest.mark.system

UNIX_ONLY = "fcntl grp pwd resource termios tty pty posix_ipc syslog spwd crypt gunicorn uwsgi"

AS_ON_WINDOWS = f"""
import os, runpy, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in set("{UNIX_ONLY}".split()):
            raise ImportError(f"{{name}} does not exist on Windows")

sys.meta_path.insert(0, Absent())
for name in set("{UNIX_ONLY}".split()):
    sys.modules.pop(name, None)
for name in ("fork", "register_at_fork", "sched_getaffinity", "getuid", "geteuid"):
    delattr(os, name)
sys.argv = ["service"]
runpy.run_module("service", run_name="__main__")
"""


def test_waitress_serves_where_nothing_of_unix_exists(tmp_path: Path) -> None:
    env = {"SERVICE_ENV": "production", "SERVICE_BIND": "127.0.0.1:0"}
    with running([BIN / "python", "-c", AS_ON_WINDOWS], tmp_path, env) as server:
        assert 200 == server.get("/metrics").status
        assert 0 == server.stop()
