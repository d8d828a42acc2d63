"""A request aborted from another thread is reported once, whichever thread is first."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock
from wsgiref.util import setup_testing_defaults

import pytest

from flask_ops.core.settings import Settings
from flask_ops.log import ReportedError
from flask_ops.log.request_log import RequestLog
from flask_ops.metrics.requests import RequestMetrics
from flask_ops.web.admission import Admission
from flask_ops.web.exchange import Exchange
from flask_ops.web.observer import Observer


class Recorded:
    """An observer whose requests end when the test decides, and its reports of status and outcome."""

    def __init__(self) -> None:
        self.fields: list[dict[str, Any]] = []
        log = Mock(RequestLog, has_query=False)
        log.share.return_value = 1.0
        log.write.side_effect = lambda _level, fields: self.fields.append(fields)
        metrics = Mock(RequestMetrics)
        self.observer = Observer(metrics, log, Admission(Settings.from_environ({}), metrics))

    @property
    def lines(self) -> list[tuple[int, str]]:
        return [(fields["status"], fields.get("outcome", "")) for fields in self.fields]

    def begin(self, **environ: Any) -> Exchange:
        setup_testing_defaults(environ)
        exchange = self.observer.observe(_application)(environ, Mock())
        assert isinstance(exchange, Exchange)
        return exchange


def _application(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"body"]


def test_all_are_aborted_and_report_nothing_more_when_they_end() -> None:
    recorded = Recorded()
    exchanges = [recorded.begin(), recorded.begin()]

    assert recorded.observer.abort(exchanges)
    for exchange in exchanges:
        exchange.close()

    assert [(500, "aborted")] * 2 == recorded.lines
    assert [] == recorded.observer.running()


def test_none_is_aborted_where_one_has_ended() -> None:
    recorded = Recorded()
    first, second = recorded.begin(), recorded.begin()
    first.close()

    assert not recorded.observer.abort([first, second])
    assert [b"body"] == [*second]
    second.close()

    assert [(499, "client_disconnected"), (200, "")] == recorded.lines


def test_nothing_is_sent_of_what_was_reported_as_aborted() -> None:
    recorded = Recorded()
    exchange = recorded.begin()
    recorded.observer.abort([exchange])

    with pytest.raises(ReportedError):
        next(exchange)


def test_no_value_of_a_client_makes_a_line_long() -> None:
    """ProxyFix takes any text from X-Forwarded-For, and servers accept long methods."""
    recorded, long = Recorded(), "x" * 5000
    recorded.begin(REQUEST_METHOD=long, REMOTE_ADDR=long, PATH_INFO=long, HTTP_USER_AGENT=long).close()
    (fields,) = recorded.fields

    assert f"{'x' * 100}..." == fields["client"] == fields["method"]
    assert f"{'x' * 1000}..." == fields["path"] == fields["user_agent"]
