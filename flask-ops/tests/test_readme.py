"""The library's README and CHANGELOG, compared with the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name

import pytest

import flask_ops.checks
import flask_ops.observability
import flask_ops.settings
import flask_ops.testing
import flask_ops.uwsgi
import flask_ops.waitress
from flask_ops.settings import Mode
from flask_ops.testing import LogLines, MetricChanges, RunCheck
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


class Shown:
    """A default as the page shows it."""

    def __init__(self, value: object) -> None:
        if type(value) is object:  # the marker of a setting without default
            self.text = "..."
        elif isinstance(value, Mode):
            self.text = f"Mode.{value.name}"
        else:
            self.text = getattr(value, "__name__", repr(value))

    def __repr__(self) -> str:
        return self.text


def signature(found: object) -> str:
    """Return a signature without types and without ``self``."""
    assert callable(found)
    signature = inspect.signature(found)
    parameters = [
        each.replace(
            annotation=inspect.Parameter.empty,
            default=each.default if each.default is inspect.Parameter.empty else Shown(each.default),
        )
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def test_every_public_name_has_its_signature() -> None:
    """A fixture that is called has the signature of the object that it returns."""
    called = {"log_lines": LogLines.__call__, "metrics": MetricChanges.__call__, "run_check": RunCheck.__call__}
    text = section("Public names").partition("\n### Signatures\n")[2].partition("\n### ")[0]
    shown = dict(re.findall(r"\*\*`([\w.]+)((?:\(.*?\))?)`\*\*", text))

    for name, parameters in shown.items():
        if name not in {"client", "exporter", "Settings"}:
            found = called.get(name) or resolve_name(f"flask_ops.{name}")
            assert signature(found) == parameters, name
    documented = {name.partition(".")[0] for name in shown}
    assert {*flask_ops.__all__} <= documented
    fixtures = {name for name in flask_ops.testing.__all__ if name[0].islower()} - {"app"}
    assert fixtures <= documented
    for module in (flask_ops.checks, flask_ops.observability, flask_ops.settings, flask_ops.uwsgi, flask_ops.waitress):
        functions = {name for name in module.__all__ if inspect.isfunction(getattr(module, name))} - {"setting"}
        assert {f"{module.__name__.partition('.')[2]}.{name}" for name in functions} <= set(shown)


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
        (ready,) = re.findall(r"^\$ curl localhost:8001/readyz\n(.+\n)", README, re.MULTILINE)
        assert ready == server.manage("/readyz").body.decode()


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
