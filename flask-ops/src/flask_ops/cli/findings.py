"""Findings about a deployment: a table for people, JSON for pipelines, one exit code."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """The severity of a finding, the worst first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: the subject, the observation and the remedy."""

    severity: Severity
    subject: str
    text: str
    cure: str = ""


def ok(subject: str, text: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(Severity.OK, subject, text)


def note(subject: str, text: str, cure: str = "") -> Finding:
    """Return a finding that does no harm, or that this program cannot judge."""
    return Finding(Severity.NOTE, subject, text, cure)


def warning(subject: str, text: str, cure: str) -> Finding:
    """Return a finding that is unsafe under conditions that this program cannot see."""
    return Finding(Severity.WARNING, subject, text, cure)


def error(subject: str, text: str, cure: str) -> Finding:
    """Return a finding that will not work, or is always unsafe."""
    return Finding(Severity.ERROR, subject, text, cure)


def failed(findings: Sequence[Finding]) -> bool:
    """Tell whether any finding is an error."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def as_table(findings: Sequence[Finding], width: int) -> str:
    """Return a table, the worst finding first, at most ``width`` characters wide, with totals below."""
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
    """Return one line of JSON: the ``facts``, ``passed``, and the findings in their original order."""
    body = {**facts, "passed": not failed(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(body) + "\n"


def _wrap(head: str, text: str, indent: str, width: int) -> list[str]:
    # A server may send line ends, and escape sequences for the terminal.
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return textwrap.wrap(
        plain, max(width, len(indent) + 40), initial_indent=head, subsequent_indent=indent, break_on_hyphens=False
    )
