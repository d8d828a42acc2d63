"""The log when the application has a logging configuration of its own."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import logging.config
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import pytest

from flask_ops import log as logs
from flask_ops.core.settings import LogLevel, Settings
from flask_ops.log import levels, ownership, process_state
from flask_ops.log.request_log import RequestLog

Lines = Callable[[], list[dict[str, Any]]]
CORRECTED = "another logging configuration was corrected"
NAMES = ("shop", "shop.orders", "stock")


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the test the loggers of a new process, whose handlers, levels and switches another configuration changes."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    loggers = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    before = [({**vars(each), "handlers": [*each.handlers]}, each) for each in loggers]
    with process_state.preserved():
        ownership.OWNERSHIP.has_warned = False
        yield
    for state, logger in before:
        vars(logger).update(state)
    for name in NAMES:
        logging.Logger.manager.loggerDict.pop(name, None)
    logging.getLogger().setLevel(logging.getLogger().level)  # forgets the levels that loggers have cached


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    """Return a function that returns the lines since its last call. Every line on stdout or stderr is JSON."""

    def read() -> list[dict[str, Any]]:
        sys.stderr.flush()
        captured = capfd.readouterr()
        return [json.loads(line) for line in (captured.out + captured.err).splitlines()]

    return read


def console(root: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return a configuration with a handler for standard error, as in Flask's documentation."""
    handlers = {
        "err": {"class": "logging.StreamHandler", "formatter": "text"},
        "out": {"class": "logging.StreamHandler", "formatter": "text", "stream": "ext://sys.stdout"},
        "wsgi": {
            "class": "logging.StreamHandler",
            "formatter": "text",
            "stream": "ext://flask.logging.wsgi_errors_stream",
        },
    }
    formatters = {"text": {"format": "%(levelname)s %(message)s"}}
    return {"version": 1, "formatters": formatters, "handlers": handlers, **({"root": root} if root else {}), **options}


def settings(**environ: str) -> Settings:
    return Settings.from_environ(environ)


def log_each() -> RequestLog:
    """Log by a request and by three loggers, of which two have a configuration in some tests."""
    log = RequestLog(settings())
    if log.is_enabled(logging.INFO):
        log.write("info", {"route": "/"})
    for name in NAMES:
        logging.getLogger(name).info("from %s", name)
    return log


EACH = ["request", *(f"from {name}" for name in NAMES)]


@pytest.mark.parametrize("handler", ["err", "out", "wsgi"])
@pytest.mark.parametrize("is_later", [False, True])
def test_a_handler_of_the_root_logger_doubles_no_line(handler: str, is_later: bool, lines: Lines) -> None:
    """The configuration comes before ``create_app()``, or at the import of the application in a worker."""
    if is_later:
        logs.configure(settings())
    logging.config.dictConfig(console({"level": "WARNING", "handlers": [handler]}))
    if not is_later:
        logs.configure(settings())
    log_each()
    warning, *rest = lines()

    assert EACH == [line["event"] for line in rest]
    assert (CORRECTED, 1) == (warning["event"], warning["handlers_removed"])
    logging.config.dictConfig(console({"level": "WARNING", "handlers": [handler]}))
    log_each()
    assert EACH == [line["event"] for line in lines()]  # the warning comes once


def test_disabled_loggers_and_the_level_of_the_root_logger_come_back(lines: Lines) -> None:
    """This is the default of ``disable_existing_loggers``. A logger that the application itself disabled stays so."""
    logs.configure(settings())
    off = logging.getLogger("stock")
    off.disabled = True
    log_each()
    lines()
    logging.config.dictConfig(console({"level": "ERROR", "handlers": ["err"]}))
    log_each()
    warning, *rest = lines()

    assert EACH[:-1] == [line["event"] for line in rest]
    assert warning["loggers_enabled"] >= 2
    assert "info" == warning["level_restored"]


def test_a_reset_by_basic_config_changes_nothing(lines: Lines) -> None:
    logs.configure(settings())
    logging.basicConfig(level=logging.ERROR, force=True)
    log_each()

    assert EACH == [line["event"] for line in lines() if line["event"] != CORRECTED]


def test_handlers_of_other_loggers_double_no_line_and_lose_none(lines: Lines) -> None:
    """A handler for the terminal makes one line, in our form, with its own level. Handlers for files stay."""
    logs.configure(settings())
    loggers = {
        "shop": {"handlers": ["err"], "level": "INFO", "propagate": False},
        "shop.orders": {"handlers": ["out"], "level": "DEBUG"},
        "stock": {"handlers": ["wsgi"], "level": "DEBUG"},
    }
    logging.config.dictConfig(console(loggers=loggers, disable_existing_loggers=False))
    log_each()
    logging.getLogger("shop.orders").debug("in detail", extra={"password": "hunter2"})
    *rest, detail = lines()

    assert EACH == [line["event"] for line in rest]  # without a warning: only the form has changed
    assert ("in detail", "[masked]", "shop.orders") == (detail["event"], detail["password"], detail["logger"])


def test_a_handler_that_is_replaced_keeps_its_level(lines: Lines) -> None:
    logs.configure(settings())
    configuration = console(loggers={"shop": {"handlers": ["err"], "level": "INFO", "propagate": False}})
    configuration["handlers"]["err"]["level"] = "ERROR"
    logging.config.dictConfig(configuration)
    log_each()

    assert ["request", "from stock"] == [line["event"] for line in lines() if line["event"] != CORRECTED]


def test_handlers_for_files_stay(tmp_path: Path, lines: Lines) -> None:
    file = {"class": "logging.FileHandler", "filename": str(tmp_path / "log"), "formatter": "text"}
    configuration = console({"handlers": ["file"]}, disable_existing_loggers=False)
    configuration["handlers"]["file"] = file
    logs.configure(settings())
    logging.config.dictConfig(configuration)
    handlers = logging.getLogger().handlers
    log_each()
    for handler in handlers:
        handler.close()

    assert EACH == [line["event"] for line in lines() if line["event"] != CORRECTED]
    assert [f"INFO from {name}" for name in NAMES] == (tmp_path / "log").read_text().splitlines()


def test_gunicorns_own_loggers_stay_as_they_are(lines: Lines) -> None:
    """Stock Gunicorn writes its lines itself."""
    logger, handler = logging.getLogger("gunicorn.access"), logging.StreamHandler(sys.stdout)
    logger.addHandler(handler)
    logs.configure(settings())

    assert [handler] == logger.handlers
    logger.removeHandler(handler)
    assert [] == lines()


def test_an_override_at_run_time_stays(lines: Lines) -> None:
    logs.configure(settings())
    for name in ("root", "shop"):
        levels.override(name, LogLevel.DEBUG)
    loggers = {"shop": {"level": "ERROR"}}
    logging.config.dictConfig(console({"level": "ERROR", "handlers": ["err"]}, loggers=loggers))
    ownership.keep()
    levels.refresh()
    logging.getLogger("shop").debug("one")
    logging.getLogger("stock").debug("two")
    for name in ("root", "shop"):
        levels.override(name, None)
    logging.getLogger("stock").debug("no more")

    assert ["one", "two"] == [line["event"] for line in lines() if line["event"] != CORRECTED]


def test_a_configuration_of_another_thread_is_corrected_when_it_is_complete(lines: Lines) -> None:
    """Handlers, disabled loggers and the level come from one configuration, which a lock protects."""
    logs.configure(settings())
    in_handler, may_go_on = threading.Event(), threading.Event()

    class Slow(logging.NullHandler):
        def __init__(self) -> None:
            super().__init__()
            in_handler.set()
            may_go_on.wait(10)

    configuration = console({"level": "ERROR", "handlers": ["slow", "err"]})
    configuration["handlers"]["slow"] = {"()": Slow}
    configuring = threading.Thread(target=logging.config.dictConfig, args=(configuration,))
    configuring.start()
    assert in_handler.wait(10)
    logging_thread = threading.Thread(target=log_each)
    logging_thread.start()
    may_go_on.set()
    for thread in (configuring, logging_thread):
        thread.join(10)

    assert EACH == [line["event"] for line in lines() if line["event"] != CORRECTED]


def test_a_migration_by_alembic_silences_nothing(tmp_path: Path, lines: Lines) -> None:
    """The env.py that ``alembic init`` writes calls ``fileConfig()``, which sets the root logger to WARNING."""
    logs.configure(settings())
    log_each()
    assert EACH == [line["event"] for line in lines()]
    configuration = alembic.config.Config(tmp_path / "alembic.ini")
    with contextlib.redirect_stdout(io.StringIO()):
        alembic.command.init(configuration, str(tmp_path / "migrations"))
    configuration.set_main_option("sqlalchemy.url", f"sqlite:///{tmp_path / 'orders.db'}")
    for _ in range(2):
        alembic.command.upgrade(configuration, "head")
        log_each()
    found = lines()
    of_alembic = [line for line in found if line.get("logger", "").startswith("alembic.")]
    events = [line["event"] for line in found if line not in of_alembic]

    assert [CORRECTED, *EACH, *EACH] == events
    assert {"info"} == {line["level"] for line in of_alembic}
    assert "Context impl SQLiteImpl." in [line["event"] for line in of_alembic]
