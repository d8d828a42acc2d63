"""The template: a small service that uses only public names of the library, with tests that survive changes to it."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import flask_ops
from tests.copies import copy_repository
from tests.process import BIN, REPOSITORY, clean_environ
from tests.programs import outcome, require

MAX_LINES = 200
SERVICE = {"__init__.py", "__main__.py", "app.py", "checks.py", "settings.py", "views.py"}
FILES = sorted(
    path.relative_to(REPOSITORY)
    for path in [
        *(REPOSITORY / "service").glob("*.py"),
        *(REPOSITORY / "tests").glob("*.py"),
        REPOSITORY / "gunicorn.conf.py",
        REPOSITORY / "deploy" / "uwsgi_app.py",
        REPOSITORY / "observability" / "drill" / "application.py",
    ]
)
"""Files that an adopter owns and that use the library."""
PUBLIC_MODULES = {"flask_ops", *re.findall(r"``(flask_ops\.\w+)``", flask_ops.__doc__ or "")}
OF_TESTS = {"service", "flask_ops", "flask", "structlog", "prometheus_client", "pytest", *sys.stdlib_module_names}
"""Modules that tests of the template may import: those of the service, and pytest."""


def test_the_service_is_six_files_of_200_lines_together() -> None:
    files = list((REPOSITORY / "service").glob("**/*.py"))

    assert SERVICE == {path.relative_to(REPOSITORY / "service").as_posix() for path in files}
    assert sum(len(path.read_text().splitlines()) for path in files) <= MAX_LINES


def test_it_uses_only_public_names_of_the_library() -> None:
    for path in FILES:
        tree = ast.parse((REPOSITORY / path).read_text())

        assert [] == [name for name in used_names(tree) if not is_public(name)], path


def test_its_tests_import_only_what_the_service_uses_and_pytest() -> None:
    imported = {
        module.partition(".")[0]
        for path in FILES
        if path.parts[0] == "tests"
        for module, _ in imports(ast.parse((REPOSITORY / path).read_text()))
    }

    assert set() == imported - OF_TESTS


def test_make_test_runs_its_tests_before_those_of_the_library() -> None:
    """Otherwise a fault in the library's tests would hide faults in an adopter's own."""
    returned, output = outcome("make", "--dry-run", "--no-print-directory", "test", cwd=REPOSITORY, env=clean_environ())

    assert 0 == returned, output
    own, library = (line for line in output.splitlines() if "-m pytest" in line)
    assert own.endswith("/python -m pytest")
    assert "cd flask-ops" in library


def test_private_names_are_found() -> None:
    """This proves that the test above can fail."""
    private = {
        "import flask_ops\nflask_ops.Settings": [],
        "import flask_ops as ops\nops.log": ["flask_ops.log"],
        "from flask_ops import Ops, Settings": [],
        "from flask_ops import log": ["flask_ops.log"],
        "from flask_ops import checks": [],
        "from flask_ops.settings import text": [],
        "from flask_ops.settings import shares": ["flask_ops.settings.shares"],
        "from flask_ops.health import Check": ["flask_ops.health", "flask_ops.health.Check"],
        "def f():\n    import flask_ops.ops.runtime": ["flask_ops.ops.runtime"],
        "from flask_opsy import Ops": [],
    }
    for source, names in private.items():
        assert names == [name for name in used_names(ast.parse(source)) if not is_public(name)], source


VIEW = """

@views.get("/todos")
def todos() -> list[str]:
    return [Settings.current().todos]
"""
CHECK = """

@CHECKS.add()
def database() -> None:
    raise ConnectionError("there is none where tests run")
"""
RULE = """groups:
  - name: orders
    rules:
      - alert: OrdersMissing
        expr: sum(
"""
SETTING = '    todos: str = setting("SERVICE_TODOS", text(r".+", "a path"), help="To-dos.")\n'


@pytest.mark.timeout(300)  # the tests that it runs take long
def test_its_tests_pass_after_an_adopters_changes(tmp_path: Path) -> None:
    """The changes: another name, another view, a check that fails in tests, and a required setting."""
    for name in ("service", "tests"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("gunicorn.conf.py", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    change(tmp_path / "service" / "views.py", "", VIEW)
    change(tmp_path / "service" / "checks.py", "", CHECK)
    change(tmp_path / "service" / "settings.py", "", SETTING)
    change(tmp_path / "service" / "settings.py", "import flask_ops\n", "from flask_ops.settings import setting, text\n")
    settings = tmp_path / "service" / "settings.py"
    settings.write_text(settings.read_text().replace('name="service"', 'name="todos"'))
    conftest = tmp_path / "tests" / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"testing"}', '"testing", "SERVICE_TODOS": "/todos"}'))

    env = {name: value for name, value in clean_environ().items() if name != "PYTHONPATH"}
    returned, output = outcome(BIN / "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path, env=env, timeout=200)

    assert 0 == returned, output[-20_000:]


@pytest.mark.system
def test_its_tests_find_what_an_own_alert_lacks(tmp_path: Path) -> None:
    require("promtool")
    copy = copy_repository(tmp_path / "copy")
    (copy / "observability/rules/orders.yml").write_text(RULE)
    (copy / "observability/tests/orders.yml").write_text(
        "rule_files: [../rules/orders.yml]\ntests: [{interval: soon}]\n"
    )

    command = (BIN / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_monitoring.py")
    returned, output = outcome(*command, cwd=copy, env=clean_environ())

    assert 1 == returned, output
    assert "4 failed" in output
    for told in ("to observability/runbook-own.md", "Correct the files in observability/", "Run `make manifests`"):
        assert told in output, output


def change(path: Path, after: str, added: str) -> None:
    """Insert text after another text, or at the end."""
    text = path.read_text()
    assert after in text
    path.write_text(text.replace(after, after + added, 1) if after else text + added)


def imports(tree: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """Yield each imported module, with the names imported from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", [alias.name for alias in node.names]


def used_names(tree: ast.AST) -> Iterator[str]:
    """Yield the library's modules and names that are imported, or used as attributes of ``flask_ops``."""
    for module, names in imports(tree):
        if module.partition(".")[0] == "flask_ops":
            yield module
            yield from (f"{module}.{name}" for name in names)
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "flask_ops"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            yield f"flask_ops.{node.attr}"


def is_public(name: str) -> bool:
    """Return True if a module is public, or if a name is in ``__all__`` of a public module."""
    if name in PUBLIC_MODULES:
        return True
    module, _, attribute = name.rpartition(".")
    return module in PUBLIC_MODULES and attribute in getattr(importlib.import_module(module), "__all__", ())
