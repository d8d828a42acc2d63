"""The request that a line belongs to, whichever code logs it, and the headers for other services."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import structlog
from flask import Flask, copy_current_request_context

from flask_ops import Ops
from flask_ops.core.background import FORBIDDEN
from flask_ops.core.context import RequestContext, current_request, outgoing_headers
from flask_ops.log import process_state
from flask_ops.ops.startup import PROCESS
from tests.log.test_phases import COMMANDS, ENV
from tests.process import running, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("name", ["gunicorn", "waitress", "uwsgi"])
@pytest.mark.system
def test_every_line_names_its_request_and_nothing_leaks(name: str, tmp_path: Path) -> None:
    """Eight clients send requests at once, each with its own ids and values, on threads that are reused."""
    with running(COMMANDS[name], tmp_path, ENV) as server:
        answers: dict[str, Any] = {}

        def ask(client: int) -> None:
            for turn in range(10):
                number = f"{client}-{turn}"
                trace = f"{client:016x}{turn + 1:016x}"
                headers = {"X-Request-ID": f"r-{number}"}
                if turn % 2:
                    headers["traceparent"] = f"00-{trace}-{SPAN}-00"
                answers[number] = server.get(f"/context?n={number}", headers).json()
                server.get(f"/streamed?n={number}", {"X-Request-ID": f"s-{number}"})

        threads = [threading.Thread(target=ask, args=(client,)) for client in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for route in ("/context", "/streamed"):
            wait_until(lambda: len(server.lines("request", route=route)) == 80, "80 lines")  # noqa: B023 - called at once
        server.get("/log", {"X-Request-ID": "after"})
        wait_until(lambda: server.lines("request", route="/log"), "the last line")
        lines = server.lines()

    for number, answer in answers.items():
        client, turn = map(int, number.split("-"))
        mine = [line for line in lines if line.get("request_id") == f"r-{number}"]
        own, foreign, request = sorted(mine, key=lambda line: ["own", "foreign", "request"].index(line["event"]))
        assert (number, number, number) == (own["n"], foreign["n"], request["leak"])
        assert ["/context"] * 3 == [line["route"] for line in mine]
        assert 1 == own["bound"]
        assert "leak" not in own
        traced = {"trace_id": f"{client:016x}{turn + 1:016x}", "span_id": SPAN, "trace_flags": "00"} if turn % 2 else {}
        for line in mine:
            assert traced == {key: line[key] for key in ("trace_id", "span_id", "trace_flags") if key in line}
        passed_on = {"traceparent": f"00-{traced['trace_id']}-{SPAN}-00"} if traced else {}
        assert {"X-Request-ID": f"r-{number}", **passed_on} == answer["headers"]
    for number in answers:
        # Lines written while the response is sent, after Flask has left the request.
        mine = [line for line in lines if line.get("request_id") == f"s-{number}"]
        assert [*["own", "foreign"] * 3, "closed", "request"] == [line["event"] for line in mine]
        assert {"/streamed"} == {line["route"] for line in mine}
        assert {number} == {line["n"] for line in mine if line["event"] != "request"}
    after = [line.get("leak", "this request only") for line in lines if line.get("request_id") == "after"]
    assert {"this request only"} == set(after)


def test_threads_that_a_request_starts_name_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flask copies its own context, and ``copy_context()`` copies all. A thread without either has no request."""
    app = Flask("shop")
    found: dict[str, str | None] = {}

    def work(name: str) -> None:
        logging.getLogger("shop").warning(name)
        found[name] = outgoing_headers().get("X-Request-ID")

    @app.get("/")
    def start() -> str:
        structlog.contextvars.bind_contextvars(order=7)
        threads = [
            threading.Thread(target=copy_current_request_context(work), args=("flask",)),
            threading.Thread(target=copy_context().run, args=(work, "contextvars")),
            threading.Thread(target=work, args=("alone",)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "done"

    monkeypatch.setattr(FORBIDDEN, "is_set", lambda: True)
    with PROCESS.isolated(), process_state.preserved():
        Ops(app)
        app.test_client().get("/", headers={"X-Request-ID": "r1"}).close()
    lines = {line["event"]: line for line in map(json.loads, capfd.readouterr().out.splitlines())}

    assert {"flask": "r1", "contextvars": "r1", "alone": None} == found
    assert found == {name: lines[name].get("request_id") for name in found}
    assert ("/", "/", None) == tuple(lines[name].get("route") for name in found)
    assert (None, 7, None) == tuple(lines[name].get("order") for name in found)


@pytest.fixture
def _request() -> Iterator[None]:
    token = current_request.set(None)
    yield
    current_request.reset(token)


@pytest.mark.usefixtures("_request")
def test_what_the_client_sent_goes_on_unchanged() -> None:
    both = {"HTTP_TRACEPARENT": TRACEPARENT, "HTTP_TRACESTATE": "vendor=1"}
    passed_on: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"HTTP_TRACEPARENT": TRACEPARENT}, {"traceparent": TRACEPARENT}),
        (both, {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}),
        ({"HTTP_TRACEPARENT": "nonsense", "HTTP_TRACESTATE": "vendor=1"}, {}),
        ({"HTTP_TRACESTATE": "vendor=1"}, {}),
    ]
    assert {} == outgoing_headers()
    for environ, expected in passed_on:
        current_request.set(RequestContext.from_environ({"HTTP_X_REQUEST_ID": "r1", **environ}))

        assert {"X-Request-ID": "r1", **expected} == outgoing_headers()
