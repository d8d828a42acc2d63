"""What clients get: the first page, the probes, an error, and request ids."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.cli.verify.answer import Answer
from flask_ops.cli.verify.client import Client
from flask_ops.core import problem
from flask_ops.web.probes import LIVENESS, READINESS

_ID = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MAX_SKEW = 30.0
"""Seconds between the server's clock and ours."""


def first(path: str, answer: Answer) -> Iterator[Finding]:
    """Judge the answer of ``path``, the first that is asked."""
    if not 200 <= answer.status < 300:
        cure = "The URL of the service itself, behind every redirect, and with --path what answers 200 to everybody."
        yield error(path, f"It answers {answer}.", cure)
    elif not answer.media_type:
        yield error(path, "It has no Content-Type: browsers guess.", "Return a response with a type from the view.")
    else:
        yield ok(path, f"{answer}, {answer.media_type}")
    if sent := answer.header("Date"):
        try:
            skew = abs((parsedate_to_datetime(sent) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            yield error("clock", "Its Date header is none.", "RFC 9110, section 5.6.7.")
            return
        if skew > _MAX_SKEW:
            yield warning("clock", f"Its clock and the one here are {skew:.0f} s apart.", "Synchronise both.")
        else:
            yield ok("clock", f"Its clock and the one here are less than {_MAX_SKEW:g} s apart.")


def liveness(answer: Answer) -> Iterator[Finding]:
    """Judge the answer of the liveness probe."""
    yield from _probe(LIVENESS, answer)


def readiness(client: Client) -> Iterator[Finding]:
    """Ask the readiness probe."""
    yield from _probe(READINESS, client.get(READINESS))


def _probe(path: str, answer: Answer) -> Iterator[Finding]:
    status = str(answer.json().get("status", ""))[:80]
    if answer.status != 200:
        said = f", {status}" if status else ""
        yield error(path, f"It answers {answer}{said}.", f"{path}?verbose, asked past any proxy, and the log say why.")
    elif answer.media_type != "application/json" or not status:
        seen = answer.media_type or "no Content-Type"
        yield error(path, f"This is not the probe's JSON ({seen}).", "The path must reach the service unchanged.")
    elif status == "degraded":
        yield warning(
            path,
            "It is ready, but a check that is not critical fails.",
            f"{path}?verbose, asked past any proxy, names it.",
        )
    else:
        yield ok(path, f"{answer}, {status}")
    if "no-store" not in answer.header("Cache-Control").lower():
        yield error(
            "caching",
            f"{path} has no Cache-Control: no-store: a cache could answer it.",
            "Let proxies keep the header.",
        )


def not_found(client: Client) -> Iterator[Finding]:
    """Ask for what does not exist; its form is that of every error (RFC 9457)."""
    answer = client.get(f"/verify-{uuid.uuid4()}")
    body, told = answer.json(), answer.header(_ID)
    if answer.status != 404:
        yield error("404", f"A path that does not exist answers {answer}.", "No route for everything.")
    elif answer.media_type != problem.CONTENT_TYPE:
        seen = answer.media_type or "no Content-Type"
        yield error("404", f"An error is {seen}.", f"{problem.CONTENT_TYPE}: does a proxy put its own page in place?")
    elif body.get("status") != 404 or not body.get("title") or not body.get("type"):
        yield error("404", "It lacks type, title or status.", "RFC 9457, section 3.1.")
    elif not told or body.get("request_id") != told:
        yield error("404", f"Its request_id is not that of the header {_ID}.", "Let proxies keep the header.")
    else:
        yield ok("404", f"{answer.media_type} with the request id")


def request_id(client: Client, path: str) -> Iterator[Finding]:
    """Send an id to ``path``, and none: with either, the response has to have one."""
    mine = f"verify-{uuid.uuid4()}"
    returned, made = (client.get(path, headers).header(_ID) for headers in ({_ID: mine}, {}))
    if not all(map(_REQUEST_ID.fullmatch, (returned, made))):
        which = "one was sent" if _REQUEST_ID.fullmatch(made) else "none was sent"
        yield error("request id", f"The response has none where {which}.", f"Let proxies keep {_ID}.")
    elif made in {mine, returned}:
        yield error("request id", "Two requests have the same one.", "No cache in front; no fixed id in a proxy.")
    elif returned != mine:
        yield note("request id", "A new one for each request, in place of the one sent too, as a proxy may decide.")
    else:
        yield ok("request id", "The one sent is returned; where none is sent, one is made.")
