"""A user's project with ``flask_ops.testing``, whose files a separate pytest runs."""

from __future__ import annotations

import textwrap

import pytest

SERVICE = """
import logging

import structlog
from flask import Flask, Response, current_app
from prometheus_client import Counter, Histogram

from flask_ops import Checks, Ops, Settings

ORDERS = Counter("orders", "Orders taken.", ["kind"])
REFUNDS = Counter("refunds", "Refunds made.", ["kind"])
PRICE = Histogram("price", "Prices.")
CHECKS = Checks()
log = structlog.get_logger()


@CHECKS.add()
def database() -> None:
    if current_app.config.get("BROKEN"):
        raise ConnectionError("refused")


@CHECKS.add(critical=False)
def cache() -> None:
    pass


def create_app(settings=Settings):
    app = Flask("shop")

    @app.post("/orders/<kind>")
    def order(kind):
        ORDERS.labels(kind).inc()
        PRICE.observe(12.5)
        log.info("order taken", kind=kind, password="hunter2")
        logging.getLogger("shop.stock").warning("low stock of %s", kind)
        log.debug("not worth a line")
        return "taken"

    @app.get("/stream")
    def stream():
        return Response(part for part in ["one", "two"])

    @app.get("/boom")
    def boom():
        raise LookupError("boom")

    Ops(app, settings, checks=CHECKS, probes=True)
    return app
"""
CONFTEST = """
import pytest
from service import create_app

from flask_ops import Settings

pytest_plugins = ["flask_ops.testing"]


@pytest.fixture
def app():
    app = create_app(Settings.from_environ({"SERVICE_ENV": "testing"}))
    return app
"""


class User:
    """A runner of test files beside the files of the project."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makepyfile(service=SERVICE)
        self.conftest(CONFTEST)

    def conftest(self, text: str) -> None:
        """Replace conftest.py."""
        self.pytester.makeconftest(text)

    def run(self, tests: str, *options: str) -> pytest.RunResult:
        """Run a test file, in which warnings are errors."""
        self.pytester.makepyfile(test_shop=textwrap.dedent(tests))
        return self.pytester.runpytest_subprocess("-Werror", "-pno:cacheprovider", *options, timeout=60)

    def passes(self, tests: str, *options: str) -> None:
        """Run a test file whose tests all pass."""
        outcomes = self.run(tests, *options).parseoutcomes()
        assert {"passed"} == outcomes.keys(), outcomes

    def message(self, tests: str) -> str:
        """Run a test file with one failing test, and return pytest's message."""
        result = self.run(tests)
        outcomes = result.parseoutcomes()
        assert not outcomes.get("passed"), outcomes
        return result.stdout.str()
