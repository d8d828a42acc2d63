"""What the README says is so."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from flask_ops.core.settings import Settings, documentation
from tests.copies import copy_service
from tests.exposition import scrape, value
from tests.process import BIN, REPOSITORY, clean_environ, running, wait_until
from tests.servers import COMMANDS, serve

README = (REPOSITORY / "README.md").read_text()
FREE = {"SERVICE_BIND": "127.0.0.1:0"}
OURS = ("flask_http_", "service_", "process_", "python_")
"""What the names of metrics begin with that are not an adopter's."""


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def tables(text: str) -> list[list[list[str]]]:
    """Return the cells of each Markdown table, without its head."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in one.splitlines()[2:]] for one in found]


def table(text: str) -> list[list[str]]:
    """Return the cells of the first table."""
    return tables(text)[0]


def test_every_setting_is_in_the_table_with_its_default_and_meaning() -> None:
    expected = [[f"`{name}`", default, meaning] for name, default, meaning in documentation()]

    assert expected == table(section("Settings"))


def test_every_endpoint_answers_the_methods_of_the_table(tmp_path: Path) -> None:
    with running(COMMANDS["gunicorn"], tmp_path, FREE, ready="/readyz") as server:
        for path, methods, _ in table(section("Endpoints")):
            for method in methods.split(", "):
                assert 200 == server.request(method, path.strip("`")).status
            answer = server.request("DELETE", path.strip("`"))
            assert 405 == answer.status
            assert {*methods.split(", "), "OPTIONS"} == set(answer.headers["Allow"].split(", "))


def test_every_path_of_the_management_address_answers(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server:
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")
        for path, methods, _ in tables(section("Endpoints"))[1]:
            for method in methods.split(", "):
                body = b'{"level": null}' if method == "PUT" else None
                assert 200 == server.manage(path.strip("`"), method, body=body).status
            answer = server.manage(path.strip("`"), "DELETE")
            assert 405 == answer.status
            assert set(methods.split(", ")) == set(answer.headers["Allow"].split(", "))


def test_every_metric_is_in_the_table_with_its_type_and_labels(tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path, ready="/readyz") as server:
        server.get("/boom")
        wait_until(lambda: value(scrape(server), "flask_http_request_exceptions_total"), "the observation")
        families = {
            family.name: family
            for family in text_string_to_metric_families(scrape(server))
            if family.name.startswith(OURS)
        }

    documented = {
        name.removesuffix("_total"): row for row in table(section("Metrics")) for name in re.findall(r"`(\w+)`", row[0])
    }
    assert set(families) == set(documented)
    for name, (_, kind, labels, _) in documented.items():
        assert families[name].type == kind
        sampled = {label for sample in families[name].samples for label in sample.labels} - {"le"}
        assert sampled <= set(re.findall(r"`(\w+)`", labels))


def test_the_log_fields_are_those_of_the_table(tmp_path: Path) -> None:
    documented = {name for row in table(section("Logs")) for name in re.findall(r"`(\w+)`", row[0])}

    with running(COMMANDS["gunicorn"], tmp_path, FREE) as server:
        server.get("/")
        line = server.line("request", route="/")

    everywhere = {"timestamp", "level", "event", "service", "request_id"}
    assert set(line) == documented - {"status_sent", "outcome", "timed_out", "query", "share"} | everywhere


def test_make_it_yours_works_as_written(tmp_path: Path) -> None:
    """Each snippet is put where the text says, and the service is used with all of them."""
    route, test, check, other, metric, setting, field = re.findall(
        r"```python\n(.*?)```", section("Make it yours"), re.DOTALL
    )
    assert all(len(snippet.splitlines()) < 10 for snippet in (route, test, check, other, metric, setting, field))
    copy = copy_service(tmp_path / "copy")
    counter, increment = metric.split("\n\n")
    views = copy / "service" / "views.py"
    in_view = "".join(f"    {line}\n" for line in (increment + field).splitlines())
    route = route.replace("    return", in_view + "    return")
    imports = "import structlog\nfrom prometheus_client import Counter\n"
    views.write_text(views.read_text().replace("from flask", imports + "from flask", 1) + f"\n{counter}\n\n\n{route}")
    checks = copy / "service" / "checks.py"
    imports = "import sqlite3, urllib.request\nfrom contextlib import closing\nfrom flask import current_app\n"
    checks.write_text(
        checks.read_text().replace("from service", imports + "from service", 1) + f"\n\n{check}\n\n{other}"
    )
    settings = copy / "service" / "settings.py"
    before, marker, after = settings.read_text().partition("    @property\n")
    settings.write_text(before + setting + "\n" + marker + after)

    imports = "import pytest\nfrom service.app import create_app\nfrom flask_ops.core.settings import Settings\n"
    (copy / "test_items.py").write_text(f"{imports}from flask.testing import FlaskClient\n{test}")
    command: list[str | Path] = [BIN / "python", "-m", "pytest", "test_items.py"]
    tried = subprocess.run(command, cwd=copy, env=clean_environ(), capture_output=True, text=True, check=False)
    assert 0 == tried.returncode, tried.stdout

    with running(
        [BIN / "gunicorn"], tmp_path, {**FREE, "WEB_CONCURRENCY": "2", "SERVICE_DATABASE": "shop.db"}, cwd=copy
    ) as server:
        for _ in range(20):
            assert {"number": 7} == server.get("/items/7").json()
        wait_until(lambda: len(server.lines("request", customer="c-17", route="/items/<int:number>")) == 20, "20 lines")
        assert 20 == value(scrape(server), "orders_total", kind="gift")
        wait_until(lambda: server.get("/readyz").json() == {"status": "down"}, "there is no app.db")
        (line, *_) = wait_until(lambda: server.lines("readiness check is down", check="database"), "its line")
        assert line["reason"].startswith("OperationalError")
        verbose = server.get("/readyz?verbose&exclude=database").json()
        assert "degraded" == verbose["status"]
        assert ("down", "URLError") == (verbose["checks"]["prices"]["status"], verbose["checks"]["prices"]["reason"])
        assert [] == server.lines("unknown variable")


def test_the_command_for_the_name_leaves_the_old_one_nowhere(tmp_path: Path) -> None:
    name = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["name"]
    (command,) = re.findall(r"^\$ (git grep -l .+)$", section("Make it yours"), re.MULTILINE)
    copy = tmp_path / "copy"
    out = (".git", ".venv*", ".*_cache", ".hypothesis", ".newer", ".coverage*", "__pycache__")
    shutil.copytree(REPOSITORY, copy, ignore=shutil.ignore_patterns(*out))
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    subprocess.run(["git", "add", "--all"], cwd=copy, check=True)

    subprocess.run(command.replace("YOURS", "shop"), shell=True, cwd=copy, check=True)  # noqa: S602 - ours

    assert "shop" == tomllib.loads((copy / "pyproject.toml").read_text())["project"]["name"]
    assert 1 == subprocess.run(["git", "grep", "--quiet", name], cwd=copy, check=False).returncode
    for file in ("Dockerfile", "compose.yaml", "deploy/kubernetes/base/deployment.yaml", ".github/workflows/ci.yml"):
        assert "shop" in (copy / file).read_text()


def test_the_numbers_of_each_supervisor_are_those_of_its_file() -> None:
    defaults = Settings.from_environ({})
    rows = tables(section("Which form"))[1]

    assert ["`docker stop`", "compose", "Kubernetes", "systemd"] == [row[0] for row in rows]
    for _, phases, grace, where in rows:
        assert f"{defaults.drain_seconds:g} + {defaults.graceful_seconds:g}" == phases
        assert int(grace) >= defaults.drain_seconds + defaults.graceful_seconds + 5
        option, _, path = where.partition("` in `")
        text = (REPOSITORY / path.rstrip("`")).read_text() if path else where
        assert re.search(rf"{option.strip('`').partition('=')[0]}\s*[=:]\s*{grace}(?!\d)", text)
