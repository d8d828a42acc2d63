"""``python -m service check`` and its parts, called as the tests need them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask_ops.cli.check.deployment import Deployment, Trial, read_settings
from flask_ops.cli.findings import Finding
from flask_ops.core.settings import Settings
from tests.process import BIN, PROJECT, clean_environ


@dataclass(frozen=True)
class Checked:
    """The result of one run of the command: exit code, output, and the findings read from the output."""

    code: int
    out: str
    findings: list[dict[str, Any]]

    def texts(self, subject: str, severity: str) -> list[str]:
        """Return the texts of the findings on this subject."""
        return [each["text"] for each in self.findings if (each["subject"], each["severity"]) == (subject, severity)]


def check(
    *arguments: str, module: str = "service", environ: Mapping[str, str] | None = None, cwd: Path = PROJECT
) -> Checked:
    """Run the command with ``--json`` in its own process."""
    done = subprocess.run(
        [BIN / "python", "-m", module, "check", "--json", *arguments],
        env={**clean_environ(), **(environ or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "" == done.stderr
    found = json.loads(done.stdout)
    assert (done.returncode == 0) == found["passed"]
    return Checked(done.returncode, done.stdout, found["findings"])


def deployment(
    environ: Mapping[str, str] | None = None,
    server: str = "gunicorn",
    trial: Trial = Trial(),  # noqa: B008 - it is frozen
    grace: float | None = None,
) -> Deployment:
    """Return the deployment that these variables alone describe."""
    settings, problems = read_settings(Settings, environ or {}, server)
    return Deployment(environ or {}, server, settings, problems, trial, grace)


def severities(findings: Iterable[Finding], subject: str) -> list[str]:
    """Return the severity of each finding on this subject."""
    return [str(finding.severity) for finding in findings if finding.subject == subject]


def only(findings: Iterable[Finding], subject: str) -> Finding:
    """Return the one finding on this subject."""
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found
