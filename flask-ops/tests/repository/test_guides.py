"""The code and the commands of the guides, run as written."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import flask_ops.observability
from tests.copies import copy_repository
from tests.observability.files import FORM
from tests.observability.promtool import promtool
from tests.process import BIN, DEADLINE, PROJECT, REPOSITORY, clean_environ, running
from tests.programs import outcome, require
from tests.repository.guides import blocks, write, written
from tests.repository.observability.copied import lacking

pytestmark = pytest.mark.timeout(240)  # each starts mypy and an interpreter with pytest, or a server

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
    ((name, code),) = blocks(DOCS / "adopt.md", "python")
    write(tmp_path / "code", name, f'{code}\n\n@app.get("/healthz")\ndef healthz() -> str:\n    return "ok"\n')
    command: list[str | Path] = [BIN / "gunicorn", "-c", "python:flask_ops.gunicorn", "yourapp:app"]

    with running(command, tmp_path, {"SERVICE_BIND": "127.0.0.1:0"}, cwd=tmp_path / "code") as server:
        assert "ok" in server.manage("/readyz").json()["status"]


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


@pytest.mark.system
def test_the_tutorial_works_as_written_up_to_its_container(tmp_path: Path) -> None:
    """Other tests build the image, and start the containers of observability/."""
    page = DOCS / "tutorial.md"
    copy = copy_repository(tmp_path / "copy")
    shutil.rmtree(copy / "service")
    shutil.copytree(PROJECT / "service", copy / "service", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / ".venv").symlink_to(BIN.parent)
    text = page.read_text().partition("## 5.")[0]
    install, *steps = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert install.splitlines() == ["make install", ".venv/bin/gunicorn"]
    require("curl")

    with running([BIN / "gunicorn"], tmp_path, {"SERVICE_BIND": "127.0.0.1:0"}, cwd=copy) as server:
        assert len(steps) == 4
        for step in steps:
            if "kill -HUP" in step:
                for name, code in blocks(page, "python"):
                    write(copy, name, code)
            ports = step.replace(":8000", f":{server.port}").replace(":8001", f":{server.management_port}")
            done = subprocess.run(
                ["/bin/sh", "-e", "-c", ports], cwd=copy, env=clean_environ(), capture_output=True, text=True,
                timeout=2 * DEADLINE, check=False,
            )  # fmt: skip
            assert 0 == done.returncode, (step, done.stdout, done.stderr)
            if "orders_total" in step:
                assert "orders_total 1.0" in done.stdout
