"""The library's README and CHANGELOG, compared with the code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import flask_ops
from tests.exposition import scrape, value
from tests.process import BIN, DEADLINE, REPOSITORY, running, started, wait_until

LIBRARY = Path(__file__).parents[1]
README = (LIBRARY / "README.md").read_text()
FREE = {"SERVICE_BIND": "127.0.0.1:0"}
APPLICATION = """
from flask import Flask

app = Flask(__name__)


@app.get("/healthz")
def healthz() -> str:
    return "ok"
"""


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def snippets(text: str) -> dict[str, str]:
    """Return the Python code of a text by file name, which a comment before the code gives."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    parts = re.split(r"^# (\w[\w.]*\.py)\n", code, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def write(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_every_public_name_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.+?`) \|", section("Public names"), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    (modules,) = re.findall(r"so are the modules (.+?)\. All other", flask_ops.__doc__ or "", re.DOTALL)

    assert {*flask_ops.__all__, *re.findall(r"``([\w.]+)``", modules)} == listed


def test_no_page_installs_the_library_by_its_name_alone() -> None:
    """The name is not registered, so anyone could register it."""
    pages = [*LIBRARY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    by_name = re.compile(r"pip install[^\n`]*[\s'\"]flask[-_]ops(?:\[[\w,]*\])?['\"]?(?!\S| @)")

    assert by_name.search("pip install flask-ops") is not None
    assert by_name.search("pip install 'flask-ops[gunicorn]'") is not None
    assert [] == [page.name for page in pages if by_name.search(page.read_text())]


def test_the_changelog_has_this_version() -> None:
    (latest, *_) = re.findall(r"^## (\S+)", (LIBRARY / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert flask_ops.__version__ == latest


def test_settings_of_your_own_work_as_written(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", snippets(section("Settings of your own")))
    with (folder / "yourapp.py").open("a") as file:
        file.write('\n\n@app.get("/healthz")\ndef healthz() -> str:\n    return "ok"\n')

    with running([BIN / "gunicorn"], tmp_path, {**FREE, "SERVICE_DATABASE": "orders.db"}, cwd=folder) as server:
        assert {"database": "orders.db"} == server.get("/orders").json()
        assert [] == server.lines(level="warning")


def test_a_required_setting_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", snippets(section("Settings of your own")))

    with started([BIN / "gunicorn"], tmp_path, FREE, cwd=folder) as server:
        assert 78 == server.process.wait(DEADLINE)
        line = server.line("settings cannot be used")

    assert ["SERVICE_DATABASE is not set, expected a path"] == line["problems"]


@pytest.mark.system
def test_a_configuration_with_hooks_of_its_own_works_as_written(tmp_path: Path) -> None:
    files = {**snippets(section("Differences from stock Gunicorn")), "yourapp.py": APPLICATION}
    folder = write(
        tmp_path / "code", {name: text.replace("workers = 8", "workers = 1") for name, text in files.items()}
    )

    with running([BIN / "gunicorn", "yourapp:app"], tmp_path, FREE, cwd=folder) as server:
        assert 1 == len(server.children())
        assert 200 == server.manage("/livez").status


def test_the_line_that_the_table_quotes_is_written_under_stock_gunicorn(tmp_path: Path) -> None:
    (event,) = re.findall(r"which the log says: `([^`]+)`", section("What works where"))
    attached = f"{APPLICATION}\n\nfrom flask_ops import Ops\nOps(app)\n"
    folder = write(tmp_path / "code", {"yourapp.py": attached})
    command: list[str | Path] = [BIN / "gunicorn", "--bind=127.0.0.1:0", "--workers=2", "yourapp:app"]

    with running(command, tmp_path, cwd=folder) as server:
        server.get("/healthz")
        assert server.lines(event)


@pytest.mark.system
def test_with_a_shared_store_counts_survive_a_killed_worker_under_stock_gunicorn(tmp_path: Path) -> None:
    (event,) = re.findall(r"The log then says\s+`([^`]+)`", section("What works where"))
    attached = f"{APPLICATION}\n\nfrom flask_ops import Ops\nOps(app, metrics=True)\n"
    folder = write(tmp_path / "code", {"yourapp.py": attached})
    command: list[str | Path] = [BIN / "gunicorn", "--bind=127.0.0.1:0", "--workers=2", "yourapp:app"]

    store = tmp_path / "store"

    def counted() -> float:
        return value(scrape(server), "flask_http_request_total", route="/healthz")

    with running(command, tmp_path, {"PROMETHEUS_MULTIPROC_DIR": str(store)}, cwd=folder) as server:
        wait_until(lambda: server.get("/healthz").status == 200 and (store / "slot-s2").exists(), "both have served")
        for _ in range(4):
            assert 200 == server.get("/healthz").status
        killed, _ = server.children()
        killed.kill()
        wait_until(lambda: len({*server.children()} - {killed}) == 2, "a new worker")
        for _ in range(4):
            assert 200 == server.get("/healthz").status
        wait_until(lambda: counted() == len(server.lines("request", route="/healthz")) >= 8, "all counts")
        assert server.lines(event)
