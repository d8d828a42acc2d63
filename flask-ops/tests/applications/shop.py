"""An application with ``Ops(app)`` and the scrape on its own port, for servers without a management address."""

from __future__ import annotations

import sys

from flask import Flask, Response, request

from flask_ops import Ops

app = Flask(__name__)
ops = Ops(metrics=True)
ops.init_app(app)


@app.get("/items/<int:number>")
def item(number: int) -> str:
    return str(number)


@app.post("/orders")
def order() -> str:
    return str(request.get_json())


@app.post("/upload")
def upload() -> str:
    request.max_content_length = 1000
    return str(len(request.get_data()))


@app.get("/raise")
def fail() -> str:
    raise ValueError("a fault of the view")


@app.get("/stream")
def stream() -> Response:
    return Response(str(number) for number in range(3))


@app.get("/exit")
def leave() -> str:
    sys.exit(3)
