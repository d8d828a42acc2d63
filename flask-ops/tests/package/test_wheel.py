"""The wheel is complete: it serves without this repository."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

import flask_ops
from tests.exposition import value
from tests.package.building import install, make, outside
from tests.process import REPOSITORY, Server, started, wait_until

pytestmark = pytest.mark.timeout(300)  # the first test installs everything: 20 s on an idle machine
LIBRARY = REPOSITORY / "flask-ops"
NAME = f"flask_ops-{flask_ops.__version__}"
APPLICATION = """\
from flask import Flask

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name: str) -> str:
    return f"Hello, {name}."
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with both archives."""
    folder = tmp_path_factory.mktemp("dist")
    make("wheel", f"DIST={folder}", cwd=REPOSITORY)
    return folder


@pytest.fixture(scope="module")
def environment(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the wheel and the locked packages."""
    folder = tmp_path_factory.mktemp("elsewhere") / "environment"
    install(archives / f"{NAME}-py3-none-any.whl", folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with only a ten-line application."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "app.py").write_text(APPLICATION)
    return folder


def files(folder: Path) -> set[str]:
    """Return the paths of the files in ``folder``, relative to its parent, without compiled modules."""
    found = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(folder.parent).as_posix() for file in found}


def python(environment: Path, *arguments: str | Path, env: dict[str, str] | None = None, cwd: Path) -> str:
    """Run Python outside of the repository, and return its output."""
    done = subprocess.run(
        [environment / "bin" / "python", *arguments],
        cwd=cwd,
        env={**outside(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_the_archives_hold_the_package_its_data_its_tests_and_its_documents(archives: Path) -> None:
    with zipfile.ZipFile(archives / f"{NAME}-py3-none-any.whl") as wheel:
        in_wheel = set(wheel.namelist())
        metadata = wheel.read(f"{NAME}.dist-info/METADATA").decode()
    with tarfile.open(archives / f"{NAME}.tar.gz") as sdist:
        in_sdist = {member.name.partition("/")[2] for member in sdist.getmembers()}

    package = files(LIBRARY / "src" / "flask_ops")
    about = {f"{NAME}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")}
    assert package | about == in_wheel
    assert {"flask_ops/py.typed", "flask_ops/management/assets/page.html"} <= in_wheel
    assert metadata.rstrip().endswith((LIBRARY / "README.md").read_text().rstrip())

    tests = {file for file in files(LIBRARY / "tests") if not file.startswith("tests/repository/")}
    documents = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO"}
    assert {f"src/{file}" for file in package} | tests | documents == in_sdist


def application_port(server: Server) -> int:
    """Return the port that is not the management port."""
    (port,) = wait_until(lambda: server.listening_ports() - {server.management_port}, "the application listens")
    return port


def test_the_command_without_a_line_of_code_serves_an_application(
    environment: Path, project: Path, tmp_path: Path
) -> None:
    command: list[str | Path] = [
        environment / "bin" / "gunicorn",
        "-c",
        "python:flask_ops.gunicorn",
        "-b",
        "127.0.0.1:0",
        "app:app",
    ]
    env = {"PYTHONPATH": "", "SERVICE_NAME": "hello"}
    with started(command, tmp_path, env, cwd=project) as server:
        server.port = application_port(server)

        answer = server.get("/hello/you")
        assert (200, b"Hello, you.") == (answer.status, answer.body)
        line = server.line("request", route="/hello/<name>")
        assert (200, "hello", answer.headers["X-Request-ID"]) == (line["status"], line["service"], line["request_id"])

        def counted() -> float | None:
            scraped = server.manage("/metrics").body.decode()
            return value(scraped, "flask_http_request_total", route="/hello/<name>")

        assert 1 == wait_until(counted, "the request is counted")
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")

        page = server.manage("/").body.decode()
        assets = re.findall(r'(?:href|src)="([^":]+)"', page)
        assert {"page.css", "page.js", "icon.svg"} <= {asset.rpartition("/")[2] for asset in assets}
        for asset in assets:
            assert 200 == server.manage(f"/{asset.lstrip('/')}").status, asset

        bind = {"SERVICE_MANAGEMENT_BIND": f"127.0.0.1:{server.management_port}"}
        python(environment, "-m", "flask_ops", "healthcheck", env=bind, cwd=project)

    listed = python(environment, "-m", "flask_ops", "--help", cwd=project)
    for name in ("serve", "check", "verify", "healthcheck"):
        assert name in listed


def test_public_names_are_imported_when_they_are_used(environment: Path, project: Path) -> None:
    script = """
import sys, flask_ops
from pathlib import Path
print(Path(flask_ops.__file__).is_relative_to(sys.prefix), "flask" in sys.modules)
for name in flask_ops.__all__:
    getattr(flask_ops, name)
    exec(f"from flask_ops import {name}")
print(*flask_ops.__all__)
"""
    first, names = python(environment, "-c", script, cwd=project).splitlines()

    assert "True False" == first
    assert sorted(flask_ops.__all__) == names.split()
