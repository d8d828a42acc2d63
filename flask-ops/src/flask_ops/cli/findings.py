"""Findings about a deployment: a table for people, JSON for pipelines, one exit code."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
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


error = partial(Finding, Severity.ERROR)
"""It will not work, or is always unsafe."""
warning = partial(Finding, Severity.WARNING)
"""It is unsafe under conditions that this program cannot see."""
note = partial(Finding, Severity.NOTE)
"""It does no harm, or this program cannot judge it."""
ok = partial(Finding, Severity.OK)
"""All is well."""


def report(findings: Sequence[Finding], facts: Mapping[str, Any], *, as_json: bool, title: str = "") -> int:
    """Write the findings to standard output, as JSON with ``facts``, or as a table below ``title``.

    Return the exit code, 1 after an error.
    """
    failed = any(finding.severity == Severity.ERROR for finding in findings)
    if as_json:
        body = {**facts, "passed": not failed, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(body) + "\n")
    else:
        sys.stdout.write(title + as_table(findings, shutil.get_terminal_size((110, 24)).columns))
    return int(failed)


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
    numbers = {severity: sum(row.severity == severity for row in rows) for severity in Severity}
    total = ", ".join(f"{number} {severity}" for severity, number in numbers.items() if number)
    return "\n".join([*lines, "", total, ""])


def _wrap(head: str, text: str, indent: str, width: int) -> list[str]:
    # A server may send line ends, and escape sequences for the terminal.
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return textwrap.wrap(
        plain, max(width, len(indent) + 40), initial_indent=head, subsequent_indent=indent, break_on_hyphens=False
    )
