"""The time that a request has waited, as proxies report it, and its field in the log line."""

from __future__ import annotations

import re
from unittest.mock import Mock

import pytest

from flask_ops.core.settings import Settings
from flask_ops.log.request_log import RequestLog
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.web import queue_time
from flask_ops.web.admission import Admission
from flask_ops.web.observer import Observer
from tests.process import REPOSITORY

NOW = 1_800_000_000.5
START = 1_800_000_000.25


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("1800000000.25", 0.25),
        ("t=1800000000.25", 0.25),
        ("t=1800000000", 0.5),
        ("1800000000250", 0.25),
        ("t=1800000000250", 0.25),
        ("t=1800000000250.4", 0.2496),
        ("1800000000250000", 0.25),
        ("t=1800000000250000", 0.25),
        ("t=1800000000.5", 0.0),
        ("t=1800000001", 0.0),  # the proxy's clock is ahead
        ("t=1800003599", 0.0),
        ("t=1800003601", None),
        ("t=1799996401", 3599.5),
        ("t=1799996400", None),  # more than an hour
        ("t=1700000000", None),
        ("t=0", None),
        ("t=-1800000000.25", None),
        ("t=180000000.25", None),  # in 1975
        ("t=18000000002500000", None),  # 17 digits
        ("t=1800000000.1234567", None),
        ("t=1800000000.", None),
        ("t=1e9", None),
        ("t=1800000000.25, t=1800000000.3", None),
        (" t=1800000000.25", None),
        ("t=\N{ARABIC-INDIC DIGIT ONE}800000000", None),
        ("t=(null)", None),
        ("t=", None),
        ("", None),
        ("soon", None),
    ],
)
def test_the_start_is_read_in_seconds_milliseconds_or_microseconds(header: str, expected: float | None) -> None:
    assert pytest.approx(expected, abs=1e-4) == queue_time.of_header(header, NOW)


@pytest.mark.parametrize(
    ("file", "sets", "variable", "written"),
    [
        ("haproxy/haproxy.cfg", r"set-header X-Request-Start (\S+)", "%[date(0,ms)]", f"{START * 1000:.0f}"),
        ("nginx/nginx.conf", r"proxy_set_header X-Request-Start ([^\s;]+)", "$msec", f"{START:.3f}"),
        # mod_headers writes the "t=" itself.
        ("apache/apache2.conf", r"RequestHeader set X-Request-Start (\S+)", "%t", f"t={START * 1e6:.0f}"),
    ],
)
def test_the_proxies_of_deploy_send_a_form_that_is_read(file: str, sets: str, variable: str, written: str) -> None:
    found = re.findall(sets, (REPOSITORY / "deploy" / file).read_text())

    assert found
    for value in found:
        assert variable in value
        assert 0.25 == pytest.approx(queue_time.of_header(value.replace(variable, written), NOW))


@pytest.mark.parametrize(
    ("milliseconds", "expected"), [(0, None), (0.9, None), (1, 1.0), (1.5, 1.5), (250, 250.0), (None, None)]
)
def test_the_line_tells_a_wait_from_one_millisecond(
    milliseconds: float | None, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, metrics, log = Settings.from_environ({}), Mock(RequestMetrics), Mock(RequestLog)
    log.is_enabled.return_value, log.share.return_value, log.has_query = True, 1.0, False
    observer = Observer(metrics, log, Admission(settings, metrics))
    exchange = observer.begin({"REQUEST_METHOD": "GET", "PATH_INFO": "/"})
    exchange.queued = None if milliseconds is None else milliseconds / 1000

    monkeypatch.setattr("flask_ops.web.observer.perf_counter", lambda: exchange.arrived + 0.5)
    observer.record(exchange)

    _, fields = log.write.call_args.args
    assert expected == fields.get("queue_ms")
    assert 500 == fields["duration_ms"]
