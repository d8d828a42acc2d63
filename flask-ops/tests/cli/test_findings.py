"""Findings as a table for people and as JSON for pipelines."""

from __future__ import annotations

import json

import pytest

from flask_ops.cli.findings import Finding, as_table, error, note, ok, report, warning

FINDINGS = [
    ok("mode", "production"),
    note("secret", "None is set."),
    warning("store", "It is on a disk.", "A tmpfs."),
    error("port", "It is taken.", "Another one."),
]


def test_the_table_has_the_worst_first_aligned_and_each_with_its_cure() -> None:
    expected = """\
error    port    It is taken.
                 -> Another one.
warning  store   It is on a disk.
                 -> A tmpfs.
note     secret  None is set.
ok       mode    production

1 error, 1 warning, 1 note, 1 ok
"""

    assert expected == as_table(FINDINGS, 80)


def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost() -> None:
    text = "every word counts " * 30
    for width in (60, 80, 200):
        table = as_table([warning("subject", text, text)], width)

        assert max(map(len, table.splitlines())) <= width
        assert 60 == table.count("every") == table.count("counts")


def test_what_a_server_sends_cannot_write_to_the_terminal() -> None:
    table = as_table([ok("server", "nginx\x1b[2J\r\nerror    port  forged")], 80)

    assert "nginx?[2J??error    port  forged" in table
    assert 3 == len(table.splitlines())


def test_the_json_is_one_line_with_all_findings_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    code = report(FINDINGS, {"url": "http://127.0.0.1"}, as_json=True)
    text = capsys.readouterr().out
    found = json.loads(text)

    assert 1 == code == text.count("\n")
    assert ("http://127.0.0.1", False) == (found["url"], found["passed"])
    assert FINDINGS == [Finding(**each) for each in found["findings"]]


def test_errors_alone_are_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == report(FINDINGS[:3], {}, as_json=False, title="here\n\n")
    assert capsys.readouterr().out.startswith("here\n\nwarning  store ")
