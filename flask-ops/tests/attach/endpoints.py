"""Requests for every endpoint of two applications that do not use this library."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flask import Flask

from tests.applications.journal import auth, blog, odd
from tests.attach.answers import Request

HTTPBIN = "httpbin:app"
SAMPLES = {
    "n": 3,
    "offset": 1,
    "num": 3,
    "numbytes": 40,
    "delay": 0,
    "value": 60,
    "etag": "tag",
    "codes": "418",
    "name": "cookie",
    "user": "user",
    "passwd": "secret",
    "qop": "auth",
    "algorithm": "SHA-256",
    "stale_after": "1",
    "anything": "thing",
    "filename": "a.png",
}
ADDED_BY_THE_TEMPLATE = [Request("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/livez")]
LARGE = "x" * 3_000_000
"""More than SERVICE_MAX_BODY_BYTES, which limits only applications that asked for the limit."""


def httpbin_requests() -> Iterator[Request]:
    without = [
        "/bytes/<int:n>",  # random without a seed
        "/stream-bytes/<int:n>",
        "/unstable",
        "/drip",  # takes two seconds
        "/delay/<delay>",
    ]
    yield from of_every_rule(loaded("httpbin"), SAMPLES, without)
    for target in (
        "/bytes/100?seed=1",
        "/stream-bytes/100?seed=1&chunk_size=7",
        "/unstable?failure_rate=0",
        "/unstable?failure_rate=1",
        "/drip?duration=0&numbytes=5&delay=0",
        "/delay/0",
        *(f"/status/{code}" for code in (101, 200, 204, 301, 304, 400, 401, 404, 406, 500, 503)),
        "/nothing-here",
        "/redirect-to?url=/get&status_code=307",
        "/response-headers?X-One=1&X-One=2",
        "/cookies/set?a=1&b=2",
        "/cookies",
        "/cookies/delete?a=",
        "/range/100",
    ):
        for method in ("GET", "HEAD", "DELETE"):
            yield Request(method, target)
    yield Request("GET", "/range/100", headers={"Range": "bytes=10-20"})
    yield Request("GET", "/image", headers={"Accept": "image/webp"})
    yield Request("GET", "/etag/tag", headers={"If-None-Match": '"tag"'})
    yield Request("GET", "/basic-auth/user/secret", headers={"Authorization": "Basic dXNlcjpzZWNyZXQ="})
    yield Request("GET", "/headers", headers={"X-Request-ID": "of-the-client", "X-Forwarded-Proto": "https"})
    yield Request("POST", "/post", form="a=1&b=2")
    yield from ADDED_BY_THE_TEMPLATE


def journal_requests() -> Iterator[Request]:
    yield from of_every_rule(
        the_journal(), {"number": 1, "filename": "a.css"}, ["/odd/wait", "/odd/endless", "/odd/exit", "/odd/pid"]
    )
    yield from (Request("HEAD", path) for path in ("/odd/stream", "/odd/raise", "/odd/file", "/nothing-here"))
    yield Request("POST", "/auth/register", form="name=ada&password=x")
    yield Request("POST", "/auth/register", form="name=ada&password=y")
    yield Request("GET", "/auth/register")  # shows what the previous request left in the session
    yield Request("POST", "/auth/login", form="name=ada&password=wrong")
    yield Request("POST", "/auth/login", form="name=ada")
    yield Request("POST", "/auth/login", form="name=ada&password=x")
    yield Request("GET", "/")
    yield Request("POST", "/create", form="title=First&body=text")
    yield from (Request("GET", path) for path in ("/", "/1.json", "/1/update", "/2/update"))
    yield Request("POST", "/1/update", form="title=Second&body=text")
    yield Request("GET", "/")
    yield Request("POST", "/1/delete")
    yield from (Request("GET", path) for path in ("/1.json", "/auth/logout", "/", "/create"))
    yield Request("POST", "/odd/upload", form=LARGE)
    yield Request("GET", "/odd/setup", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"})
    yield from (Request(method, "/nothing-here") for method in ("GET", "PATCH", "BREW"))
    yield Request("PATCH", "/odd/teapot")
    yield from ADDED_BY_THE_TEMPLATE


def the_journal() -> Flask:
    app = Flask("journal")
    for blueprint in (auth.blueprint, blog.blueprint, odd.blueprint):
        app.register_blueprint(blueprint)
    return app


def of_every_rule(app: Flask, samples: Mapping[str, Any], without: Iterable[str] = ()) -> Iterator[Request]:
    """Yield a request for each method of each URL rule; ``samples`` has a value for each argument."""
    for rule in app.url_map.iter_rules():
        if rule.rule in without:
            continue
        values = {name: samples[name] for name in rule.arguments}
        built = rule.build(values)
        assert built is not None, rule
        for method in sorted(rule.methods or ()):
            yield Request(method, built[1])


def loaded(module: str) -> Flask:
    """Import an application of another project, and ignore its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = __import__(module).app
    assert isinstance(found, Flask)
    return found
