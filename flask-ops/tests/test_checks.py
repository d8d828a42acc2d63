"""The library's own readiness checks."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from flask_ops.cli.healthcheck import _Connection
from flask_ops.core.address import Address
from tests.namespaces import in_namespace
from tests.process import BIN, started, wait_until

pytestmark = pytest.mark.system

APPLICATION = """
from flask import Flask
from flask_ops import Checks, Ops
from flask_ops.checks import log_directory, temporary_directory

checks = Checks()
checks.add()(temporary_directory)
checks.add(critical=False)(log_directory)
app = Flask(__name__)
Ops(app, checks=checks)
"""
NEARLY_FULL = """
mount -t tmpfs -o size=20m tmpfs /mnt
head -c 8M /dev/zero > /mnt/other
exec {program} -c python:flask_ops.gunicorn checked:app > /mnt/log
"""


def test_a_log_file_that_cannot_grow_any_more_degrades_the_service(tmp_path: Path) -> None:
    """This also works in a worker, whose descriptor 1 is no longer that file."""
    socket = tmp_path / "socket"
    (tmp_path / "checked.py").write_text(APPLICATION)
    env = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": f"unix:{socket}", "WEB_CONCURRENCY": "1"}
    with started(in_namespace(NEARLY_FULL.format(program=BIN / "gunicorn")), tmp_path, env, cwd=tmp_path):
        wait_until(lambda: status_of("log_directory", socket) == "down", "the check")
        assert "ok" == status_of("temporary_directory", socket)
        assert "degraded" == readiness(socket)["status"]


def status_of(check: str, socket: Path) -> str:
    return str(readiness(socket).get("checks", {}).get(check, {}).get("status"))


def readiness(socket: Path) -> dict[str, Any]:
    with contextlib.closing(_Connection(Address(unix=str(socket)))) as connection, contextlib.suppress(OSError):
        connection.request("GET", "/readyz")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    return {}
