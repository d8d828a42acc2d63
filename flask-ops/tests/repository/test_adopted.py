"""Tests of the machinery pass in the hands of an adopter, whose views, checks, settings and name are others."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.process import BIN, REPOSITORY, clean_environ

VIEWS = """
from flask import Blueprint

views = Blueprint("todos", __name__)


@views.get("/todos")
def todos() -> list[str]:
    return []
"""
CHECKS = """
from flask_ops.health import Checks

CHECKS = Checks()


@CHECKS.add()
def database() -> None:
    raise ConnectionError("there is none where tests run")
"""
SETTING = '    todos: int = variable("SERVICE_TODOS", integer(1, 9), 5, "To-dos.")\n\n'
TESTS = (
    "tests/test_app.py",
    "tests/test_settings.py",
    "tests/test_readme.py::test_make_it_yours_works_as_written",
    "tests/test_servers.py::test_each_command_of_the_readme_serves_the_four_endpoints[waitress-serve]",
    "tests/web/test_observer.py::test_the_line_has_the_fields_of_the_readme_and_nothing_secret[gunicorn]",
)


@pytest.mark.timeout(400)  # of tests that may take theirs
def test_they_do_not_depend_on_what_is_there_to_be_replaced(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(REPOSITORY, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    (copy / "service" / "views.py").write_text(VIEWS)
    (copy / "service" / "checks.py").write_text(CHECKS)
    settings = copy / "service" / "settings.py"
    before, marker, after = (
        settings.read_text().replace('        "service",\n', '        "todo",\n').partition("    @property\n")
    )
    settings.write_text(before + SETTING + marker + after)

    done = subprocess.run(
        [BIN / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=copy,
        env=clean_environ(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout[-10_000:]
