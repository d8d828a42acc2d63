"""The code and the commands of the guides, run as written."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

import flask_ops.observability
from flask_ops.core.settings import Settings
from tests.observability.dashboard_linter import RULES
from tests.observability.dashboards import DASHBOARDS
from tests.observability.files import FORM, queries, recorded
from tests.observability.promtool import promtool
from tests.process import BIN, DEADLINE, REPOSITORY, clean_environ, running, wait_until
from tests.programs import outcome, require
from tests.repository.guides import blocks, commands, tutorial, write, written
from tests.repository.observability.copied import lacking

pytestmark = pytest.mark.timeout(300)  # each starts mypy or a server: 2 minutes on a busy machine

DOCS = REPOSITORY / "docs"
README = REPOSITORY / "README.md"
PAGES = sorted(page for page in DOCS.glob("*.md") if "```python\n" in page.read_text())


def assert_its_tests_pass(folder: Path) -> None:
    """Check lint and types, and run the tests, as `make test` does."""
    types = ["mypy", "--cache-dir", str(folder.parents[1] / "mypy")]  # most of its time goes into the dependencies
    for program, *options in (["ruff", "check"], ["ruff", "format", "--check"], types):
        returned, output = outcome(BIN / program, *options, "service", "tests", cwd=folder, env=clean_environ())
        assert 0 == returned, (program, output)
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "tests")
    returned, output = outcome(BIN / "python", *command, cwd=folder, env=clean_environ())
    assert 0 == returned, output


def test_the_readme_has_a_first_route_check_and_metric_that_work(tmp_path: Path) -> None:
    text = README.read_text()
    if text.startswith("# A Flask service for production\n"):  # otherwise it is an adopter's
        assert len(text.splitlines()) <= 200
        links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text)
        assert [] == [link for link in links if not (REPOSITORY / link).exists()]
        assert_its_tests_pass(written(tmp_path / "copy", README))


@pytest.mark.parametrize("page", [page for page in PAGES if "# tests/" in page.read_text()], ids=lambda page: page.stem)
def test_the_tests_of_a_page_pass(page: Path, tmp_path: Path) -> None:
    assert_its_tests_pass(written(tmp_path / "copy", page))


def test_each_page_with_code_has_a_test() -> None:
    assert {"adopt.md", "tutorial.md"} == {page.name for page in PAGES if "# tests/" not in page.read_text()}


def test_the_line_that_adopts_an_application_works(tmp_path: Path) -> None:
    page = DOCS / "adopt.md"
    ((name, code),) = blocks(page, "python")
    views = '@app.get("/")\n@app.get("/healthz")\ndef ok() -> str:\n    return "ok"\n'
    write(tmp_path / "code", name, f"{code}\n\n{views}")
    assert f"/flask_ops-{flask_ops.__version__}-py3-none-any.whl[gunicorn]'\n" in page.read_text()
    (assignment,) = re.findall(r"^\$ export (\S+)", page.read_text(), re.MULTILINE)
    environ = dict([assignment.split("=")])
    (counted,) = re.findall(r"```text\n(.+\n)```", page.read_text())
    command: list[str | Path] = [BIN / "gunicorn", "-c", "python:flask_ops.gunicorn", "yourapp:app"]

    with running(command, tmp_path, {"SERVICE_BIND": "127.0.0.1:0", **environ}, cwd=tmp_path / "code") as server:
        wait_until(lambda: server.manage("/readyz").status == 200, "the result of the check")
        assert "ok" == server.manage("/readyz?verbose").json()["checks"]["database"]["status"]
        assert 404 == server.get("/metrics").status
        server.get("/")
        wait_until(lambda: counted in server.manage("/metrics").body.decode(), "the count of the page")
        assert environ["SERVICE_NAME"] == server.line("request", route="/")["service"]


@pytest.mark.system
def test_the_alert_passes_its_own_test_and_stays_with_its_runbook(tmp_path: Path) -> None:
    page = DOCS / "alerts.md"
    for name, text in blocks(page, "yaml"):
        write(tmp_path, name, text)
    (commands,) = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    for command in commands.splitlines():
        _, *arguments = command.split()
        files = [tmp_path / each if "/" in each else each for each in arguments]
        returned, output = promtool(*files)
        assert 0 == returned, output

    ((name, text),) = re.findall(r"```markdown\n<!-- (.+) -->\n(.*?)```", page.read_text(), re.DOTALL)
    write(tmp_path, name, text)
    own = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    flask_ops.observability.write(tmp_path / "observability", force=True)
    assert own == {path: path.read_text() for path in own}
    assert {} == lacking(tmp_path / "observability")
    (rule,) = [yaml.safe_load(text) for path, text in own.items() if path.match("rules/*.yml")]
    (link,) = [alert["annotations"]["runbook_url"] for group in rule["groups"] for alert in group["rules"]]
    headings = {f"{Path(name).name}#{heading.lower()}" for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    assert {link.rpartition("/")[2]} == headings
    assert FORM.fullmatch(f"\n{text.partition('## ')[2].partition(chr(10))[2].strip()}\n")


def test_the_dashboard_of_the_page_about_alerts_keeps_the_rules_of_the_linter() -> None:
    (text,) = re.findall(r"```json\n(.*?)```", (DOCS / "alerts.md").read_text(), re.DOTALL)
    board = json.loads(text)
    choices = {name for name in RULES if name.startswith(("template-job", "target-job", "target-instance"))}

    assert board["uid"] not in {each["uid"] for each in DASHBOARDS.values()}
    assert {} == {name: found for name in RULES.keys() - choices if (found := [*RULES[name](board)])}


def test_the_tutorial_works_as_written_up_to_its_container(tmp_path: Path) -> None:
    folder = tutorial(tmp_path / "copy")
    page = DOCS / "tutorial.md"
    install, *steps = commands(page.read_text().partition("## 5.")[0])
    assert install.splitlines() == ["make install", ".venv/bin/gunicorn"]
    require("curl")

    with running([BIN / "gunicorn"], tmp_path, {"SERVICE_BIND": "127.0.0.1:0"}, cwd=folder) as server:
        assert len(steps) == 4
        for step in steps:
            if "kill -HUP" in step:
                for name, code in blocks(page, "python"):
                    write(folder, name, code)
            ports = step.replace(":8000", f":{server.port}").replace(":8001", f":{server.management_port}")
            done = subprocess.run(
                ["/bin/sh", "-e", "-c", ports], cwd=folder, env=clean_environ(), capture_output=True, text=True,
                timeout=2 * DEADLINE, check=False,
            )  # fmt: skip
            assert 0 == done.returncode, (step, done.stdout, done.stderr)
            if "orders_total" in step:
                assert "orders_total 1.0" in done.stdout


def test_the_examples_of_objectives_are_valid() -> None:
    text = (DOCS / "objectives.md").read_text()
    examples = [
        Settings.from_environ(dict(word.split("=", 1) for word in shlex.split(example))) for example in commands(text)
    ]

    assert [0.9995, 0.999, 0.99] == [settings.slo_availability for settings in examples]
    assert [(0.99, 0.1), (0.99, 0.3), (0.95, 1)] == [
        (settings.slo_latency.ratio, settings.slo_latency.seconds) for settings in examples
    ]
    assert ({"/pay": 0.9999}, {"/pay", "/reports"}) == (
        examples[1].slo_routes.availability,
        {*examples[1].slo_routes.latency},
    )
    assert {"/static/<path:filename>"} == examples[2].slo_exclude
    assert {*queries(text)} <= recorded()
    for percent, bad, outage in re.findall(r"^\| ([\d.]+)% \| ([\d,]+) \| ([\d.]+ \w+) \|$", text, re.MULTILINE):
        share = 1 - float(percent) / 100
        number, unit = outage.split()
        assert round(share * 1e6) == int(bad.replace(",", ""))
        assert float(number) == float(f"{share * 30 * 24 * (60 if unit == 'min' else 1):.2g}")
