"""What was found out about a deployment: rows of a table for people, JSON for pipelines, one exit code."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what was looked at, what was seen there, and what to do about it."""

    severity: Severity
    subject: str
    text: str
    cure: str = ""


def ok(subject: str, text: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(Severity.OK, subject, text)


def note(subject: str, text: str, cure: str = "") -> Finding:
    """Return a finding that harms nobody, or that cannot be judged from here."""
    return Finding(Severity.NOTE, subject, text, cure)


def warning(subject: str, text: str, cure: str) -> Finding:
    """Return a finding that is unsafe in some circumstances which cannot be seen from here."""
    return Finding(Severity.WARNING, subject, text, cure)


def error(subject: str, text: str, cure: str) -> Finding:
    """Return a finding that will not work, or is unsafe in all circumstances."""
    return Finding(Severity.ERROR, subject, text, cure)


def failed(findings: Sequence[Finding]) -> bool:
    """Tell whether one of them is an error."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def as_table(findings: Sequence[Finding], width: int) -> str:
    """Return the rows, the worst first, at most ``width`` characters wide, and a line with their numbers."""
    rows = sorted(findings, key=lambda finding: [*Severity].index(finding.severity))
    subjects = max(len(finding.subject) for finding in rows)
    first = max(map(len, Severity))
    indent = " " * (first + subjects + 4)
    lines: list[str] = []
    for finding in rows:
        head = f"{finding.severity:<{first}}  {finding.subject:<{subjects}}  "
        lines += _wrap(head, finding.text, indent, width)
        if finding.cure:
            lines += _wrap(indent + "-> ", finding.cure, indent + "   ", width)
    numbers = {severity: sum(row.severity is severity for row in rows) for severity in Severity}
    total = ", ".join(f"{number} {severity}" for severity, number in numbers.items() if number)
    return "\n".join([*lines, "", total, ""])


def as_json(findings: Sequence[Finding], facts: Mapping[str, Any]) -> str:
    """Return one line of JSON: the ``facts``, whether it passed, and the findings in the order they were made."""
    body = {**facts, "passed": not failed(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(body) + "\n"


def _wrap(head: str, text: str, indent: str, width: int) -> list[str]:
    # What a server sends may hold line ends and what a terminal takes for commands.
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return textwrap.wrap(
        plain, max(width, len(indent) + 40), initial_indent=head, subsequent_indent=indent, break_on_hyphens=False
    )
