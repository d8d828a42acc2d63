"""Views that stream, fail, wait, or return the application's setup."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from flask import Blueprint, Response, abort, current_app, jsonify, request, send_file, stream_with_context
from werkzeug.wrappers import Response as BaseResponse

from tests.applications.journal.errors import OutOfPaperError

blueprint = Blueprint("odd", __name__, url_prefix="/odd")


@blueprint.get("/stream")
def stream() -> Response:
    return Response(stream_with_context(f"{request.path} {number}\n" for number in range(5)), mimetype="text/plain")


@blueprint.get("/broken-stream")
def broken_stream() -> Response:
    def parts() -> Iterator[str]:
        yield "one part"
        raise OSError("no second part")

    return Response(parts())


@blueprint.get("/endless")
def endless() -> Response:
    return Response(b"x" * 65536 for _ in range(100_000))


@blueprint.get("/file")
def file() -> BaseResponse:
    return send_file(__file__, mimetype="text/plain", last_modified=0, etag=False)


@blueprint.get("/raise")
def fail() -> str:
    raise ValueError("a fault of the view")


@blueprint.get("/exit")
def leave() -> str:
    sys.exit(3)


@blueprint.get("/paper")
def paper() -> str:
    raise OutOfPaperError


@blueprint.route("/teapot", methods=["GET", "DELETE"])
def teapot() -> str:
    abort(418)


@blueprint.post("/upload")
def upload() -> Response:
    return jsonify(received=len(request.get_data()))


@blueprint.get("/own-id")
def own_id() -> tuple[str, dict[str, str]]:
    return "named", {"X-Request-ID": "of-the-view", "X-Other": "kept"}


@blueprint.get("/wait")
def wait() -> str:
    """Answer as soon as the file ``until`` exists, or after ``s`` seconds."""
    end, until = time.monotonic() + float(request.args.get("s", "60")), Path(request.args["until"])
    until.with_name(f"waiting-{request.args.get('name', '')}").touch()
    while time.monotonic() < end and not until.exists():
        time.sleep(0.01)
    return "waited"


@blueprint.get("/pid")
def pid() -> str:
    return str(os.getpid())


@blueprint.get("/setup")
def setup() -> Response:
    """Return the parts of the application that an extension could have changed."""
    app = current_app
    return jsonify(
        rules=sorted(f"{rule.rule} {sorted(rule.methods or ())}" for rule in app.url_map.iter_rules()),
        config={name: repr(value) for name, value in app.config.items() if name != "DATABASE"},
        secret_key=app.secret_key,
        json=type(app.json).__qualname__,
        before=sorted(function.__qualname__ for hooks in app.before_request_funcs.values() for function in hooks),
        after=sorted(function.__qualname__ for hooks in app.after_request_funcs.values() for function in hooks),
        handlers=sorted(
            f"{scope} {code} {error.__name__}"
            for scope, codes in app.error_handler_spec.items()
            for code, handlers in codes.items()
            for error in handlers
        ),
        scheme=request.scheme,
        client=request.remote_addr,
    )
