"""The service with other routes and checks, which fail in every way that tests need."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import structlog
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    after_this_request,
    current_app,
    jsonify,
    redirect,
    request,
    send_file,
    stream_with_context,
    url_for,
)
from prometheus_client import Counter, Gauge
from werkzeug.wrappers import Response as BaseResponse

from flask_ops.health import Check
from flask_ops.metrics.requests import exporter
from service import app as service_app
from service.checks import CHECKS
from service.views import index

sample = Blueprint("sample", __name__)
sample.add_url_rule("/", view_func=index)
GREETINGS = Counter("sample_greetings", "Greetings given.")
ORDERS = Counter("sample_orders", "Orders.", ["kind"])
ORDERS.labels("gift")
Gauge("sample_shelves", "Shelves, a number that is known at import.", multiprocess_mode="livemax").set(3)
CHUNK = b"x" * 65536


def create_app() -> Flask:
    checks = [*CHECKS]
    if marker := os.environ.get("SAMPLE_DOWN_IF_EXISTS"):
        checks = [Check("marker", partial(fail_if_exists, Path(marker)), interval=0.05)]
    if pipe := os.environ.get("SAMPLE_HANGS_IF_PIPE"):
        checks = [Check("pipe", partial(hang_if_pipe, Path(pipe)), timeout=0.1, interval=0.05)]
    if seconds := os.environ.get("SAMPLE_CHECK_SECONDS"):
        checks = [Check("slow", partial(time.sleep, float(seconds)), timeout=10)]
    return service_app.create_app(views=sample, checks=checks)


def fail_if_exists(path: Path) -> None:
    if path.exists():
        raise ConnectionError(path)


def hang_if_pipe(path: Path) -> None:
    if path.exists():
        path.read_bytes()  # the pipe has no writer


@sample.get("/backtrack")
def backtrack() -> str:
    """Hold the GIL for hours."""
    return str(re.match(r"(a+)+$", "a" * 40 + "b"))


@sample.route("/slow", methods=["GET", "POST"])
def slow() -> str:
    """Take ``s`` seconds, but end as soon as the file ``until`` exists."""
    structlog.get_logger().info("slow view")
    seconds = float(request.args.get("s", "1"))
    if "until" not in request.args:
        time.sleep(seconds)
        return "slow"
    end, until = time.monotonic() + seconds, Path(request.args["until"])
    while time.monotonic() < end and not until.exists():
        time.sleep(0.01)
    return "slow"


@sample.route("/items/<int:number>", methods=["GET", "PUT"])
def item(number: int) -> Response:
    return jsonify(number=number)


@sample.get("/boom")
def boom() -> str:
    password = "hunter2"
    raise ValueError(f"a secret of {len(password)} letters")


@sample.get("/exit")
def leave() -> str:
    sys.exit(7)


@sample.get("/cancel")
def cancel() -> str:
    raise asyncio.CancelledError


@sample.get("/interrupt")
def interrupt() -> str:
    raise KeyboardInterrupt


@sample.get("/stream")
def stream() -> Response:
    return Response((b"part" for _ in range(5)), mimetype="text/plain")


@sample.get("/stream-boom")
def stream_boom() -> Response:
    def parts() -> Iterator[bytes]:
        yield b"part"
        raise ValueError("in the middle")

    return Response(parts())


@sample.get("/stream-boom-at-once")
def stream_boom_at_once() -> Response:
    def parts() -> Iterator[bytes]:
        yield str(1 // int(request.args.get("by", "0"))).encode()

    @after_this_request
    def add_headers(response: Response) -> Response:
        response.headers.update({"Access-Control-Allow-Origin": "*", "Content-Security-Policy": "default-src 'self'"})
        response.headers.update({"ETag": '"of the part"', "Content-Disposition": "attachment"})
        return response

    return Response(stream_with_context(parts()))


@sample.get("/stream-exit")
def stream_exit() -> Response:
    def parts() -> Iterator[bytes]:
        yield b"part"
        sys.exit(7)

    return Response(parts())


@sample.get("/stream-endless")
def stream_endless() -> Response:
    return Response(CHUNK for _ in range(100_000))


@sample.get("/bad-header")
def bad_header() -> Response:
    response = Response("never sent")
    response.headers["X-Snow"] = "\N{SNOWMAN}"  # no server can send it: it is not latin-1
    return response


@sample.get("/file")
def file() -> BaseResponse:
    return send_file(Path(request.args["path"]), mimetype="application/octet-stream")


@sample.get("/empty")
def empty() -> tuple[str, int]:
    return "", 204


@sample.get("/teapot")
def teapot() -> str:
    abort(418, "short and stout")


@sample.get("/away")
def away() -> BaseResponse:
    return redirect("/", 302)


@sample.get("/log")
def log() -> str:
    logging.getLogger("some.library").warning("foreign %s", "line")
    structlog.get_logger("ours").info("own line", answer=42)
    structlog.contextvars.bind_contextvars(leak="this request only")
    return "logged"


@sample.get("/whoami")
def whoami() -> Response:
    return jsonify(
        pid=os.getpid(),
        client=request.remote_addr,
        port=request.environ.get("REMOTE_PORT"),
        scheme=request.scheme,
        host=request.host,
        url=url_for("sample.whoami", _external=True),
    )


@sample.get("/headers")
def headers() -> Response:
    return jsonify(dict(request.headers))


@sample.get("/greet")
@exporter.counter(  # type: ignore[untyped-decorator] # the exporter ships no types
    "sample_greeted", "Greetings given, counted by the exporter's decorator."
)
def greet() -> str:
    GREETINGS.inc()
    return "hello"


@sample.get("/fork")
def fork() -> str:
    """Count in child processes and in this process."""
    children = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            GREETINGS.inc()
            os._exit(0)
        children.append(child)
    GREETINGS.inc()
    return str(sum(1 for child in children if os.waitpid(child, 0)[1] == 0))


@sample.get("/inner")
def inner() -> str:
    return current_app.test_client().get("/healthz").get_data(as_text=True)


@sample.get("/occupied")
@exporter.gauge("sample_occupied", "Requests that are being served.")  # type: ignore[untyped-decorator] # has no types
def occupied() -> str:
    return slow()


@sample.post("/upload")
def upload() -> Response:
    return jsonify(received=len(request.get_data()))


@sample.post("/body/<how>")
def read_body(how: str) -> Response:
    """Read the body in the way of the path, under the limit of the query."""
    if limit := request.args.get("limit"):
        request.max_content_length = None if limit == "none" else int(limit)
    if "until" in request.args:
        slow()
    match how:
        case "data":
            size = len(request.get_data())
        case "form":
            size = len(request.form.get("amount", ""))
        case "json":
            size = len(request.get_json())
        case "files":
            size = sum(len(file.read()) for file in request.files.values())
        case "stream":
            size = sum(len(piece) for piece in iter(lambda: request.stream.read(1000), b""))
        case "lines":
            size = sum(map(len, request.stream))
        case "swallowed":
            try:
                size = len(request.get_data())
            except Exception:  # noqa: BLE001 - a view that hides the failure
                size = -1
        case "lazy" | "lazy-lines":
            body = request.environ["wsgi.input"]
            pieces = body if how == "lazy-lines" else iter(partial(body.read, 3000), b"")
            return Response(pieces, headers={"Content-Length": request.args["size"]})
        case _:
            size = 0
    return jsonify(received=size)
