"""The sample application, with routes that write to the log in every possible way."""

from __future__ import annotations

import atexit
import builtins
import ctypes
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import structlog
from flask import Flask, Response, request

from flask_ops.core.context import outgoing_headers
from tests import sample
from tests.log.broken_calls import CALLS

if "gunicorn.arbiter" in sys.modules:  # other servers set the log up when they create the application
    logging.getLogger("imported").warning("while it is imported")
    print("printed while it is imported")  # noqa: T201 - this is what is tested


class Unhappy:
    """An object whose deletion raises."""

    def __del__(self) -> None:
        raise ValueError("in __del__")


class Last:
    """An object that outlives the modules."""

    def __del__(self) -> None:
        print("printed at the very end")  # noqa: T201 - it is about prints
        raise ValueError("raised at the very end")


def fail(text: str) -> None:
    raise ValueError(text)


def sink_to(depth: int) -> None:
    if depth:
        sink_to(depth - 1)
    bottom()


def bottom() -> None:
    raise ValueError("y" * 100_000)


def group() -> None:
    second = KeyError("second")
    second.add_note("a note")
    try:
        fail("the cause")
    except ValueError as error:
        raise ExceptionGroup("several", [ValueError("first"), ExceptionGroup("inner", [second])]) from error


def every_way() -> None:
    """Write to the log in every possible way."""
    print("printed", {"a": 1})  # noqa: T201 - it is about prints
    print("two\nlines", end="")  # noqa: T201 - it is about prints
    print(file=sys.stdout, flush=True)  # noqa: T201 - it is about prints
    sys.stderr.write("written to stderr\n")
    request.environ["wsgi.errors"].write("written to wsgi.errors\n")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a TextIO, as far as is known
    sys.stdout.buffer.write(b"written as bytes\n")
    for original in (sys.__stdout__, sys.__stderr__):
        print("printed as before", file=original)
    warnings.warn("a warning", UserWarning, stacklevel=1)
    logging.getLogger("third.party").error("with %s", "arguments", extra={"host": "db1"})
    logging.getLogger("third.party").error("%d", "wrong arguments")
    for call in CALLS.values():
        call()
    structlog.get_logger("ours").warning("bound", **{"weird key\n": b"\xff", "number": 2**70})
    payment = {"status": "paid", "method": "card", "client": {"id": 1}, "bytes": b"x", "path": 1, "duration_ms": 2.5}
    structlog.get_logger("ours").info("payment", **payment, user_agent=None, thread=5, query=[1])
    try:
        fail("printed by traceback")
    except ValueError:
        traceback.print_exc()
        logging.getLogger("third.party").exception("caught\nand told")
    try:
        group()
    except ExceptionGroup:
        structlog.get_logger("ours").exception("a group")
    Unhappy()
    for module in (builtins, sys):
        module._last = Last()  # type: ignore[attr-defined]  # the test adds it
    thread = threading.Thread(target=fail, args=("in a thread",), name="noisy thread")
    thread.start()
    thread.join()
    logging.raiseExceptions = True
    handler = logging.StreamHandler()  # another library's handler, which prints
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "%d", ("x",), None)
    handler.handle(record)
    print("not ended", end="")  # noqa: T201 - it is about prints


def create_app() -> Flask:
    app = sample.create_app()
    atexit.register(fail, "at exit")

    @app.get("/noise")
    def noise() -> str:
        every_way()
        return "made"

    @app.get("/crash")
    def crash() -> str:
        ctypes.string_at(0)
        return "unreachable"

    @app.get("/hold")
    def hold() -> str:
        """Hold the GIL, so that no Python code runs."""
        ctypes.PyDLL(None).sleep(int(request.args["s"]))
        return "held"

    @app.get("/level")
    def level() -> dict[str, Any]:
        effective = logging.getLogger(request.args["logger"]).getEffectiveLevel()
        return {"pid": os.getpid(), "level": logging.getLevelName(effective).lower()}

    @app.get("/large")
    def large() -> str:
        try:
            sink_to(60)
        except ValueError:
            structlog.get_logger("ours").exception("large", body="x" * 100_000)
        return "told"

    @app.get("/streamed")
    def streamed() -> Response:
        number = request.args["n"]

        def parts() -> Iterator[str]:
            for _ in range(3):
                structlog.get_logger("ours").info("own", n=number)
                logging.getLogger("foreign").info("foreign", extra={"n": number})
                yield "part"

        response = Response(parts())
        response.call_on_close(lambda: structlog.get_logger("ours").info("closed", n=number))
        return response

    @app.get("/context")
    def context() -> dict[str, Any]:
        structlog.get_logger("ours").bind(bound=1).info("own", n=request.args["n"])
        logging.getLogger("foreign").info("foreign", extra={"n": request.args["n"]})
        structlog.contextvars.bind_contextvars(leak=request.args["n"])
        return {"headers": outgoing_headers(), "pid": os.getpid()}

    return app
