"""``make detach``: a clone without the library's sources serves, tests, locks and builds as before."""

from __future__ import annotations

import hashlib
import re
import shutil
import ssl
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import flask_ops
from tests.copies import copy_repository
from tests.package.building import make, outside, refused
from tests.process import BIN, REPOSITORY, running
from tests.programs import require
from tests.repository.deploy.docker import engine

pytestmark = pytest.mark.timeout(500)  # the first test installs everything, twice: 60 s on an idle machine
WHEEL = f"flask_ops-{flask_ops.__version__}-py3-none-any.whl"
LOCK = "requirements-library.txt"
GONE = re.compile(
    r"flask-ops/|\bbenchmark/|library: (?:begin|end)|requirements-build|\.venv-(?:bench|pythons)|\.newer"
    r"|\bmake (?:bench|bench-short|wheel|detach|test-library|test-all|test-pythons|coverage|test-long|test-newer)\b"
)
URL = "https://127.0.0.1:9/library-1.0.tar.gz"
HASH = f"sha256:{'0' * 64}"


def texts(folder: Path) -> dict[str, str]:
    """Return the text of each file that belongs to the clone, by its path."""
    found = {}
    for file in folder.rglob("*"):
        path = file.relative_to(folder)
        if file.is_file() and not re.search(
            r"(?:^|/)(?:\.venv|vendor|dist|[.\w]+_cache|__pycache__)/", path.as_posix()
        ):
            found[path.as_posix()] = file.read_text(errors="surrogateescape")  # images, too
    return found


@pytest.fixture(scope="module")
def detached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a detached copy of the repository, with its library as a wheel."""
    copy = copy_repository(tmp_path_factory.mktemp("detached") / "copy")
    (copy / "flask-ops" / "README.md").chmod(0o600)
    make("detach", cwd=copy)
    return copy


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of the repository."""
    return copy_repository(tmp_path / "clone")


def test_the_library_is_one_wheel_pinned_by_its_hash(detached: Path) -> None:
    (wheel,) = (detached / "vendor").iterdir()

    assert WHEEL == wheel.name
    assert f"./vendor/{WHEEL} \\\n    --hash=sha256:{digest(wheel)}\n" == (detached / LOCK).read_text()
    assert {"path": f"vendor/{WHEEL}"} == source(detached)


def test_the_same_sources_give_the_same_bytes(detached: Path, tmp_path: Path) -> None:
    """The archives do not contain a clone's times and file modes, or compiled modules."""
    make("wheel", f"DIST={tmp_path}", cwd=REPOSITORY)

    built, again = ({file.name: digest(file) for file in folder.iterdir()} for folder in (tmp_path, detached / "dist"))
    assert built == again
    assert 2 == len(built)


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def source(clone: Path) -> object:
    """Return the source of the library that uv reads in pyproject.toml."""
    (found,) = tomllib.loads((clone / "pyproject.toml").read_text())["tool"]["uv"]["sources"].items()
    assert "flask-ops" == found[0]
    return found[1]


def test_what_belongs_to_the_library_is_gone_and_not_mentioned(detached: Path) -> None:
    for name in ("flask-ops", "benchmark", "template/detach.py", "template/archive.py", "template/blocks.py"):
        assert not (detached / name).exists(), name
    listed = make("help", cwd=detached)
    assert "make run" in listed
    assert [] == [target for target in ("bench", "wheel", "detach", "test-long") if f"make {target}" in listed]
    assert [] == [
        f"{name}: {line}"
        for name, text in texts(detached).items()
        if name != "CHANGELOG.md"  # the history
        for line in text.splitlines()
        if GONE.search(line)
    ]


def test_it_passes_its_tests_and_serves(detached: Path, tmp_path: Path) -> None:
    make("test", cwd=detached)
    shown = subprocess.run(
        [detached / ".venv" / "bin" / "python", "-c", "import flask_ops; print(flask_ops.__file__)"],
        cwd=detached,
        env=outside(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "site-packages/flask_ops/__init__.py" in shown
    env = {"PYTHONPATH": "", "SERVICE_BIND": "127.0.0.1:0", "SERVICE_NAME": "detached"}
    with running([detached / ".venv" / "bin" / "gunicorn"], tmp_path, env, cwd=detached) as server:
        assert "detached" == server.get("/").json()["name"]
        assert 200 == server.line("request", route="/")["status"]


def test_make_lock_changes_nothing_and_make_detach_is_refused_a_second_time(detached: Path) -> None:
    before = texts(detached)
    make("lock", cwd=detached)
    assert before == texts(detached)

    assert "This clone is detached already" in refused("detach", cwd=detached)
    assert before == texts(detached)


def test_make_lock_takes_another_wheel_but_not_two(detached: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(detached, copy, ignore=shutil.ignore_patterns(".venv"))
    (copy / ".venv").symlink_to(detached / ".venv")
    library = copy_repository(tmp_path / "clone") / "flask-ops"
    module = library / "src" / "flask_ops" / "__init__.py"
    module.write_text(module.read_text().replace(f'"{flask_ops.__version__}"', '"99.0"'))
    build = "import sys; from flit_core.buildapi import build_wheel; build_wheel(sys.argv[1])"
    command: list[str | Path] = [BIN / "python", "-c", build, copy / "vendor"]
    subprocess.run(command, cwd=library, check=True, env=outside(), timeout=60)

    assert "Expected one wheel of flask-ops in vendor/, found: vendor/" in refused("lock", cwd=copy)

    (copy / "vendor" / WHEEL).unlink()
    assert ["flask_ops-99.0-py3-none-any.whl"] == [file.name for file in (copy / "vendor").iterdir()]
    make("lock", cwd=copy)
    before = texts(detached)
    changed = {name for name, text in texts(copy).items() if text != before[name]}
    assert {"pyproject.toml", LOCK} == changed
    for name in changed:
        assert "flask_ops-99.0-py3-none-any.whl" in (copy / name).read_text()


def test_the_image_copies_only_what_is_there_and_is_built_without_a_network(detached: Path) -> None:
    """The base image holds the locked packages; the library comes from the clone."""
    kept = {
        line.removeprefix("!") for line in (detached / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        source.rstrip("/")
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", (detached / "Dockerfile").read_text(), re.MULTILINE)
        for source in sources.split()
    }
    assert kept == copied
    for name in copied:
        assert (detached / name).exists(), name

    # Only the first stage installs the library.
    with engine() as docker, docker.image("1.2.3-test", detached, "--target=build") as tag:
        shown = docker.run(
            "run", "--rm", "--network=none", tag, "python", "-c", "import flask_ops; print(flask_ops.__version__)"
        )

    assert flask_ops.__version__ == shown


def test_other_addresses_are_refused_and_nothing_is_changed(clone: Path) -> None:
    reasons = {
        ("URL=http://example.org/flask_ops-1-py3-none-any.whl",): "begins with https://",
        ("URL=flask-ops",): "begins with https://",
        ("URL=git+https://example.org/library.git",): "cannot check the hash of a git repository",
        ("URL=https://example.org/library.txt",): "address of an archive: .whl, .tar.gz, .zip",
        ("URL=https://example.org/other-1-py3-none-any.whl",): "a wheel called flask_ops-VERSION",
        ("URL=https://me:secret@example.org/library.zip",): "a user name or a password",
        ("URL=https://example.org/library.zip#egg=flask-ops",): "#subdirectory=FOLDER",
        ("URL=https://example.org/library.zip#subdirectory=../x/..",): "#subdirectory=FOLDER",
        ("URL=https://example.org/library.zip", "HASH=md5:0"): "sha256: and 64 hexadecimal digits",
        ("URL=https://127.0.0.1:9/library.zip",): "Without a network, give the hash: HASH=sha256:",
    }
    before = texts(clone)
    for arguments, reason in reasons.items():
        assert reason in refused("detach", *arguments, cwd=clone)
    # A marker without its counterpart would hide or keep the wrong lines.
    compose = clone / "compose.yaml"
    for marker in ("begin", "end"):
        compose.write_text(f"{before['compose.yaml']}# library: {marker}\n")
        assert "make detach: compose.yaml:" in refused("detach", f"URL={URL}", f"HASH={HASH}", cwd=clone), marker
    compose.write_text(before["compose.yaml"])

    assert before == texts(clone)


def test_an_archive_with_a_given_hash_needs_no_network(clone: Path) -> None:
    """It removes a marked block of a page, and lists other mentions of removed files."""
    page = clone / "docs" / "page.md"
    block = "<!-- library: begin -->\nAll about flask-ops/.\n\nAnd more.\n<!-- library: end -->\n"
    page.write_text(f"# Page\n\n{block}\nSee benchmark/.\n{block}The end.\n")

    told = make("detach", f"URL={URL}#subdirectory=flask-ops", f"HASH={HASH}", cwd=clone)

    assert f"flask-ops @ {URL}#subdirectory=flask-ops \\\n    --hash={HASH}\n" == (clone / LOCK).read_text()
    assert {"url": URL, "subdirectory": "flask-ops"} == source(clone)
    assert not (clone / "vendor").exists()
    assert "vendor" not in (clone / "Dockerfile").read_text() + (clone / ".dockerignore").read_text()
    assert "# Page\n\nSee benchmark/.\nThe end.\n" == page.read_text()
    assert "docs/page.md:3: See benchmark/." in told


class Releases(ThreadingHTTPServer):
    """A server that answers every request with ``archive``, or with a redirect to ``elsewhere``."""

    archive = b"an archive"
    elsewhere = ""


class Release(BaseHTTPRequestHandler):
    """One request to that server."""

    server: Releases

    def do_GET(self) -> None:
        self.send_response(302 if self.server.elsewhere else 200)
        self.send_header("Location", self.server.elsewhere)
        self.send_header("Content-Length", str(len(self.server.archive)))
        self.end_headers()
        self.wfile.write(self.server.archive)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Write nothing."""


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Releases]:
    """Yield a server with a certificate that the commands of this test trust."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command: list[str | Path] = [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with Releases(("127.0.0.1", 0), Release) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        yield server
        server.shutdown()
        thread.join()


def test_a_released_archive_is_pinned_installed_and_locked(
    clone: Path, detached: Path, releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect to plain HTTP is refused."""
    releases.archive = (detached / "vendor" / WHEEL).read_bytes()
    host = f"127.0.0.1:{releases.server_port}"
    url = f"https://{host}/{WHEEL}"
    releases.elsewhere = "http://example.org/library.zip"
    assert f"redirects to {releases.elsewhere}" in refused("detach", f"URL={url}", cwd=clone)
    assert (clone / "flask-ops").is_dir()

    releases.elsewhere = ""
    make("detach", f"URL={url}", cwd=clone)

    pinned = f"flask-ops @ {url} \\\n    --hash=sha256:{digest(detached / 'vendor' / WHEEL)}\n"
    assert pinned == (clone / LOCK).read_text()

    pip: list[str | Path] = [BIN / "python", "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
    pip += ["--trusted-host", host, "--require-hashes", "--requirement", LOCK, "--dest", tmp_path]
    subprocess.run(pip, cwd=clone, env=outside(), check=True, timeout=60)
    assert releases.archive == (tmp_path / WHEEL).read_bytes()

    # The index has another certificate, so uv needs a separate setting to trust this server.
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("UV_INSECURE_HOST", host)
    (clone / ".venv").symlink_to(detached / ".venv")
    before = texts(clone)
    make("lock", cwd=clone)
    assert before == texts(clone)
