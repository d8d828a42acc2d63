from __future__ import annotations

import pytest

from flask_ops.metrics.scrape import render

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ('text/plain;version="1.0.0"', TEXT_1),
        ("text/plain;version=7", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=abc", TEXT),
        ("application/openmetrics-text;version=5.0.0,text/plain", TEXT),
        ("application/openmetrics-text;q=0, text/plain", TEXT),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", TEXT),
        ("text/plain;q=0.1, application/openmetrics-text;q=0.9", OPENMETRICS),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
            "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",  # Prometheus 3
            OPENMETRICS.replace("underscores", "allow-utf-8"),
        ),
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",  # Prometheus 2.42
            OPENMETRICS,
        ),
        (";,=;;q=x", TEXT),
    ],
)
def test_the_client_gets_the_format_that_it_prefers(accept: str, expected: str) -> None:
    _, headers = render(dict, accept=accept)

    assert expected == dict(headers)["Content-Type"]


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip;q=0, *", False), ("br", False), ("", False)],
)
def test_it_is_compressed_where_the_client_takes_that(accept_encoding: str, expected: bool) -> None:
    _, headers = render(dict, accept_encoding=accept_encoding)

    assert expected == (("Content-Encoding", "gzip") in headers)
