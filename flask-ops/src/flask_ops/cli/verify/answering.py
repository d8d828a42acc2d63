"""Tests of the answers to clients: the first page, the probes, an error, and request ids."""

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
"""Allowed difference between the server's clock and ours, in seconds."""


def first(path: str, answer: Answer) -> Iterator[Finding]:
    """Judge the answer of ``path``, the first request."""
    if not 200 <= answer.status < 300:
        cure = "Give the URL behind all redirects, and with --path a path that answers 200 to every client."
        yield error(path, f"It answers {answer}.", cure)
    elif not answer.media_type:
        yield error(path, "It has no Content-Type: browsers guess.", "Set a content type in the view.")
    else:
        yield ok(path, f"{answer}, {answer.media_type}")
    if sent := answer.header("Date"):
        try:
            skew = abs((parsedate_to_datetime(sent) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            yield error("clock", f"Invalid Date header: {sent[:80]}", "RFC 9110, section 5.6.7.")
            return
        if skew > _MAX_SKEW:
            yield warning("clock", f"Its clock and the local clock differ by {skew:.0f} s.", "Synchronise both.")
        else:
            yield ok("clock", f"Its clock and the local clock differ by less than {_MAX_SKEW:g} s.")


def liveness(answer: Answer) -> Iterator[Finding]:
    """Judge the answer of the liveness probe."""
    yield from _probe(LIVENESS, answer)


def readiness(client: Client) -> Iterator[Finding]:
    """Request and judge the readiness probe."""
    yield from _probe(READINESS, client.get(READINESS))


def _probe(path: str, answer: Answer) -> Iterator[Finding]:
    status = str(answer.json().get("status", ""))[:80]
    if answer.status != 200:
        said = f", {status}" if status else ""
        yield error(path, f"It answers {answer}{said}.", f"See {path}?verbose, without a proxy, and the log.")
    elif answer.media_type != "application/json" or not status:
        seen = answer.media_type or "no Content-Type"
        yield error(path, f"This is not the probe's JSON ({seen}).", "The path must reach the service unchanged.")
    elif status == "degraded":
        yield warning(
            path,
            "It is ready, but a non-critical check fails.",
            f"{path}?verbose, without a proxy, names it.",
        )
    else:
        yield ok(path, f"{answer}, {status}")
    if "no-store" not in answer.header("Cache-Control").lower():
        yield error(
            "caching",
            f"{path} has no Cache-Control: no-store: a cache could answer instead.",
            "Make proxies keep the header.",
        )


def not_found(client: Client) -> Iterator[Finding]:
    """Request a missing page. All errors have the same form (RFC 9457)."""
    answer = client.get(f"/verify-{uuid.uuid4()}")
    body, told = answer.json(), answer.header(_ID)
    if answer.status != 404:
        yield error("404", f"A path that does not exist answers {answer}.", "Remove the catch-all route.")
    elif answer.media_type != problem.CONTENT_TYPE:
        seen = answer.media_type or "no Content-Type"
        yield error("404", f"An error is {seen}.", f"Expected {problem.CONTENT_TYPE}. Does a proxy replace it?")
    elif body.get("status") != 404 or not body.get("title") or not body.get("type"):
        yield error("404", "It lacks type, title or status.", "RFC 9457, section 3.1.")
    elif not told or body.get("request_id") != told:
        yield error("404", f"Its request_id differs from the header {_ID}.", "Make proxies keep the header.")
    else:
        yield ok("404", f"{answer.media_type} with the request id")


def request_id(client: Client, path: str) -> Iterator[Finding]:
    """Send a request with an id and one without. Both responses must have an id."""
    mine = f"verify-{uuid.uuid4()}"
    returned, made = (client.get(path, headers).header(_ID) for headers in ({_ID: mine}, {}))
    if not all(map(_REQUEST_ID.fullmatch, (returned, made))):
        which = "an id was sent" if _REQUEST_ID.fullmatch(made) else "none was sent"
        yield error("request id", f"The response has no id when {which}.", f"Make proxies keep {_ID}.")
    elif made in {mine, returned}:
        yield error("request id", "Two requests have the same id.", "Remove the cache, or the fixed id in a proxy.")
    elif returned != mine:
        yield note("request id", "Each request gets a new id, even if it has one. A proxy may do this.")
    else:
        yield ok("request id", "The id sent is returned; without one, the service creates it.")
