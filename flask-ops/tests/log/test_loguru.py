"""The lines of loguru: printed text, or records of ``logging`` by the lines in the README."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import pytest
from loguru import logger

from flask_ops import log as logs
from flask_ops.core.context import RequestContext, current_request
from flask_ops.core.settings import Settings
from flask_ops.log import process_state
from flask_ops.log.line import Lines
from flask_ops.log.printed_lines import PrintedLines, log_what_is_printed
from tests.test_readme import section, snippets


@pytest.fixture(autouse=True)
def _own_loguru() -> Iterator[None]:
    logger.remove()
    yield
    logger.remove()


def fail() -> None:
    secret = "hunter2"
    try:
        raise ValueError(f"{len(secret)} letters")
    except ValueError:
        logger.exception("failed")


def test_a_printed_traceback_is_one_event() -> None:
    found: list[tuple[str, str]] = []
    logger.add(PrintedLines(lambda *each: found.append(each), io.StringIO()))
    logger.info("paid")
    fail()
    logger.info("paid again")
    (paid, _), (failed, _), (event, traceback), (again, _) = found

    assert ["paid", "failed", "paid again"] == [text.rpartition(" - ")[2] for text in (paid, failed, again)]
    assert "ValueError: 7 letters" == event
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert traceback.endswith(f"\n{event}")
    assert "\n> File " in traceback  # loguru marks the frame that logs


def test_printed_lines_have_its_level(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
            patch.setattr(sys, name, getattr(sys, name))
        log_what_is_printed(Lines(Settings.from_environ({})))
        logger.add(sys.stderr, level=0)
        for level in ("trace", "debug", "info", "success", "warning", "error", "critical"):
            getattr(logger, level)("a line | of more")
        sys.stderr.write("ERROR | a line of another program\n")
    levels = [json.loads(line)["level"] for line in capfd.readouterr().out.splitlines()]

    assert [*["debug"] * 2, *["info"] * 2, "warning", "error", "critical", "warning"] == levels


def test_with_the_lines_of_the_readme_its_records_are_lines_like_others(capfd: pytest.CaptureFixture[str]) -> None:
    with process_state.preserved():
        logs.configure(Settings.from_environ({}))
        exec(snippets(section("Logging in your application"))["logs.py"], {})  # noqa: S102 - the README's own code
        token = current_request.set(RequestContext("request-1"))
        logger.debug("too low")
        logger.bind(order=7, password="hunter2").success("paid {}", 5)
        fail()
        current_request.reset(token)
    captured = capfd.readouterr()
    paid, failed = map(json.loads, captured.out.splitlines())

    assert "" == captured.err
    assert ("info", "paid 5", __name__, "request-1") == tuple(
        paid[name] for name in ("level", "event", "logger", "request_id")
    )
    assert {"order": 7, "password": "[masked]"} == paid["extra"]
    assert ("error", "failed", "7 letters") == (failed["level"], failed["event"], failed["exception"][0]["exc_value"])
    assert "hunter2" not in captured.out
