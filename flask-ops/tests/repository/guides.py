"""The code of a guide, put into the files that it names.

The first line of a block is a comment with its file. Imports of a block go to the top of a file that exists, and the
rest to its end.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.copies import copy_repository, copy_service
from tests.process import BIN, REPOSITORY
from tests.programs import outcome

CONFTEST = """
import pytest
from service.app import create_app
from service.settings import Settings

pytest_plugins = ["flask_ops.testing"]


@pytest.fixture
def environ():
    return {"SERVICE_ENV": "testing"}


@pytest.fixture
def app(environ):
    return create_app(Settings.from_environ(environ))
"""


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """Return the file and the code of each block."""
    found = re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    parts = [re.fullmatch(r"# ([\w./-]+)\n(.*)", text, re.DOTALL) for text in found]
    assert all(parts), f"{page.name}: a block without a file"
    return [(part[1], part[2]) for part in parts if part]


def write(folder: Path, name: str, code: str) -> None:
    """Put a block into its file."""
    file = folder / name
    file.parent.mkdir(exist_ok=True, parents=True)
    if not file.exists():
        file.write_text(code)
        return
    imports = re.match(r"(?:(?:import|from) .+\n|\n)*", code)
    assert imports is not None
    before, future, after = file.read_text().rpartition("from __future__ import annotations\n")
    if not future:
        docstring = re.match(r'""".+?"""\n', after, re.DOTALL)
        assert docstring is not None
        before, after = docstring[0], after[docstring.end() :]
    rest = code[imports.end() :]
    file.write_text(f"{before}{future}{imports[0].strip()}\n{after}\n\n{rest}")


def written(folder: Path, page: Path) -> Path:
    """Return a service with the code of a page, in the form that `make format` gives it."""
    copy_service(folder)
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    (folder / "conftest.py").write_text(CONFTEST)
    for name, code in blocks(page, "python"):
        write(folder, name, code)
    outcome(BIN / "ruff", "format", "service", "tests", cwd=folder)
    outcome(BIN / "ruff", "check", "--fix", "service", "tests", cwd=folder)
    return folder


def commands(text: str) -> list[str]:
    """Return the blocks of commands in Markdown."""
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def tutorial(folder: Path) -> Path:
    """Copy the repository into ``folder``, with the tests' service and the library installed. Return the folder."""
    copy_repository(folder)
    shutil.rmtree(folder / "service")
    copy_service(folder)
    (folder / ".venv").symlink_to(BIN.parent)
    return folder
