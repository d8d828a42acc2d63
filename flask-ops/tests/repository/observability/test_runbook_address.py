"""The command that inserts your own address of the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.observability.promtool import promtool
from tests.process import REPOSITORY

ALERTS = (REPOSITORY / "observability" / "rules" / "alerts.yml").read_text()
PRESENT = re.findall(r"runbook_url: (\S+)/runbook.md#", ALERTS)[0]
"""The placeholder, or the address that an adopter has set."""
ADDRESS = "https://wiki.example.org/flask"
COMMAND = (
    "grep -rl https://example.com/service observability "
    "| xargs perl -pi -e 's#https://example.com/service#https://YOURS#'"
)
"""The README has the same command, see ``test_readme``."""


def test_the_new_address_is_in_alerts_cases_panels_and_manifests(tmp_path: Path) -> None:
    for folder in ("observability", "deploy"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "tls"))
    before = {path: text.count(PRESENT) for path, text in texts(tmp_path).items() if PRESENT in text}

    command = COMMAND.replace("https://example.com/service", PRESENT).replace("https://YOURS", ADDRESS)
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)  # noqa: S602 - ours
    subprocess.run([sys.executable, tmp_path / "deploy" / "kubernetes" / "manifests.py"], check=True)

    assert {"alerts.yml", "alerts.yaml", "service.json"} <= {path.name for path in before}
    assert before == {path: text.count(ADDRESS) for path, text in texts(tmp_path).items() if ADDRESS in text}
    assert not any(PRESENT in text for text in texts(tmp_path).values())
    returned, output = promtool("test", "rules", tmp_path / "observability" / "tests" / "symptoms.yml")
    assert 0 == returned, output


def texts(directory: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in directory.rglob("*") if path.is_file()}
