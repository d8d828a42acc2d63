"""One run of each readiness check before the start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flask_ops.cli.check import readiness
from flask_ops.health import Check
from tests.check.checking import check

APPLICATION = """
from flask import Flask
from flask_ops import Check, Ops

def create_app():
    app = Flask(__name__)
    Ops(app, checks=[Check("file", open_file), Check("optional", fail, critical=False), Check("well", list)])
    return app

def open_file():
    open("/nonexistent/orders.db").close()

def fail():
    raise ConnectionError
"""
FREE = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0"}


def fail() -> None:
    raise ConnectionError("refused")


async def nothing() -> None:
    """Run nothing when it is called, as every coroutine."""


def forgotten() -> object:
    return nothing()


def test_each_check_runs_once_and_has_a_finding() -> None:
    runs: list[str] = []
    checks: list[Callable[[], Any]] = [lambda: runs.append("once"), fail, forgotten]
    found = [
        (each.severity, each.text) for each in readiness.look(Check(f"c{n}", probe) for n, probe in enumerate(checks))
    ]

    assert [
        ("ok", "c0 passes."),
        ("error", "c1 fails: ConnectionError: refused."),
        ("error", "c2 fails: TypeError: the check returned an awaitable, but must be a plain function."),
    ] == found
    assert ["once"] == runs
    (optional,) = readiness.look([Check("optional", fail, critical=False)])
    assert "warning" == optional.severity
    (none,) = readiness.look([])
    assert "note" == none.severity


def test_checks_that_hang_are_bounded_together() -> None:
    never = threading.Event()
    found = list(
        readiness.look([Check("fast", list, timeout=10), *[Check(f"c{n}", never.wait, timeout=0.2) for n in range(20)]])
    )
    never.set()

    assert ["ok", *["error"] * 20] == [each.severity for each in found]
    assert "c19 fails: TimeoutError: timed out." == found[-1].text


@pytest.mark.system
@pytest.mark.parametrize("server", ["gunicorn", "waitress"])
def test_the_command_runs_them_if_asked(server: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    before = check("shop:create_app()", "--server", server, module="flask_ops", environ=FREE, cwd=tmp_path)
    after = check("shop:create_app()", "--server", server, "--checks", module="flask_ops", environ=FREE, cwd=tmp_path)

    assert (0, 1) == (before.code, after.code)
    assert [] == [each for each in before.findings if each["subject"] == "checks"]
    (fault,) = after.texts("checks", "error")
    assert fault.startswith("file fails: FileNotFoundError: ")
    assert ["optional fails: ConnectionError."] == after.texts("checks", "warning")
    assert ["well passes."] == after.texts("checks", "ok")


@pytest.mark.system
@pytest.mark.parametrize("server", ["gunicorn", "waitress"])
def test_a_factory_that_fails_is_found(server: str, tmp_path: Path) -> None:
    """A server calls the factory, so it would not start."""
    (tmp_path / "shop.py").write_text("def create_app():\n    raise KeyError('PRICES')\n")
    found = check("shop:create_app()", "--server", server, module="flask_ops", environ=FREE, cwd=tmp_path)

    assert ["It cannot be loaded: KeyError: 'PRICES'"] == found.texts("application", "error")
