from __future__ import annotations

from flask_ops.metrics.scrape import Form, Scrape

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


def test_the_client_gets_a_format_that_it_accepts() -> None:
    for accept, expected in {
        "": TEXT,
        "*/*": TEXT,
        "text/html": TEXT,
        "text/plain": TEXT,
        "text/plain;version=0.0.4": TEXT,
        'text/plain;version="1.0.0"': TEXT_1,
        "application/openmetrics-text": OPENMETRICS.partition("; escaping")[0],
        "application/openmetrics-text;version=1.0.0": OPENMETRICS,
        "application/openmetrics-text;version=abc": TEXT,
        "application/openmetrics-text;q=0, text/plain": TEXT,
        "text/plain;q=0.1, application/openmetrics-text;version=1.0.0;q=0.9": OPENMETRICS,
        PROMETHEUS_3: OPENMETRICS.replace("underscores", "allow-utf-8"),
        PROMETHEUS_2: OPENMETRICS,
        ";,=;;q=x": TEXT,
    }.items():
        _, headers = Scrape(dict).render(Form.accepted(accept))

        assert expected == dict(headers)["Content-Type"], accept


def test_it_is_compressed_if_the_client_accepts_that() -> None:
    for accept_encoding, expected in {
        "gzip": True,
        "br, GZIP;q=0.5": True,
        "gzip;q=0": False,
        "gzip;q=0, *": False,
        "br": False,
        "": False,
    }.items():
        _, headers = Scrape(dict).render(Form.accepted(accept_encoding=accept_encoding))

        assert expected == (("Content-Encoding", "gzip") in headers), accept_encoding
