"""Tests of a running service. Each one yields findings, and raises NoAnswerError without an answer."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator

from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.cli.verify.client import Answer, Client, NoAnswerError
from flask_ops.cli.verify.counting import Scrape, read
from flask_ops.core import problem
from flask_ops.metrics import scrape

_ID = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DEBUGGER = "/?__debugger__=yes&cmd=resource&f=style.css"
_DEVELOPMENT_CURE = "Set SERVICE_ENV=production and use a server of the README."
_MANAGEMENT_PATHS = ("/livez", "/info", "/status", "/drain", "/resume", "/loglevel")
"""Paths that only the management listener has."""
_FIELDS = {"/info": {"pid", "server", "mode"}, "/status": {"service", "workers"}, "/loglevel": {"loggers"}}


def first(path: str, answer: Answer) -> Finding:
    """Judge the answer of ``path``, the first request."""
    if not 200 <= answer.status < 300:
        cure = "Give the URL behind all redirects, and with --path a path that answers 200 to every client."
        return error(path, f"It answers {answer}.", cure)
    return ok(path, f"{answer}, {answer.media_type}")


def probe(path: str, get: Callable[[], Answer]) -> Iterator[Finding]:
    """Judge the answer of a probe."""
    answer = get()
    status = str(answer.json().get("status", ""))[:80]
    if answer.status != 200:
        said = f", {status}" if status else ""
        yield error(path, f"It answers {answer}{said}.", f"See {path}?verbose, without a proxy, and the log.")
    elif answer.media_type != "application/json" or not status:
        seen = answer.media_type or "no Content-Type"
        yield error(path, f"This is not the probe's JSON ({seen}).", "The path must reach the service unchanged.")
    elif status == "degraded":
        yield warning(
            path, "It is ready, but a non-critical check fails.", f"{path}?verbose, without a proxy, names it."
        )
    else:
        yield ok(path, f"{answer}, {status}")
    if "no-store" not in answer.header("Cache-Control").lower():
        text = f"{path} has no Cache-Control: no-store: a cache could answer instead."
        yield error("caching", text, "Make proxies keep the header.")


def not_found(client: Client) -> Iterator[Finding]:
    """Request a missing page. All errors have the same form (RFC 9457)."""
    answer = client.get(f"/verify-{uuid.uuid4()}")
    body, told = answer.json(), answer.header(_ID)
    if answer.status != 404:
        yield error("404", f"A path that does not exist answers {answer}.", "Remove the catch-all route.")
    elif answer.media_type != problem.CONTENT_TYPE:
        seen = answer.media_type or "no Content-Type"
        yield error("404", f"An error is {seen}.", f"Expected {problem.CONTENT_TYPE}. Does a proxy replace it?")
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


def server(client: Client, page: Answer, scraped: Scrape | None) -> Iterator[Finding]:
    """Judge which server answers, by its debugger, the headers of ``page`` and the metrics."""
    name = page.header("Server")[:80]
    debugger = client.get(_DEBUGGER)
    if debugger.status == 200 and debugger.media_type == "text/css":
        text = "The development server answers, with its debugger: the PIN lets anyone run code."
        yield error("server", text, _DEVELOPMENT_CURE)
    elif "werkzeug" in name.lower() or (scraped and scraped.server == "werkzeug"):
        yield error("server", "This is a development server.", _DEVELOPMENT_CURE)
    elif scraped and scraped.mode not in {"", "production"}:
        yield error("server", f"The mode is {scraped.mode}.", "SERVICE_ENV=production")
    else:
        yield ok("server", f"No development server, no debugger; the Server header is {name or 'empty'}.")


def exposed_metrics(client: Client, scraped: Scrape | None, *, public: bool) -> Iterator[Finding]:
    """Judge whether the application's port serves metrics and, if it is ``public``, also under other spellings.

    Otherwise this is only a warning: it is the default, and some platforms route one port only.
    """
    cure = "Set SERVICE_METRICS_ON_APP=false and scrape the management address; or refuse it in the proxy."
    if scraped is not None:
        yield (error if public else warning)("exposed", f"Every client of this URL can read {scrape.PATH}.", cure)
    elif found := [path for path in _spellings(scrape.PATH) if public and _gives_metrics(client, path)]:
        yield error("exposed", f"{scrape.PATH} is refused, but not {', '.join(found)}.", cure)
    else:
        yield ok("exposed", f"No {scrape.PATH} on the application's port{', in any spelling' if public else ''}.")


def _spellings(path: str) -> list[str]:
    """Return spellings that some servers treat as ``path``, but that a proxy's rule may miss.

    They contain dot segments or empty segments (RFC 3986, 5.2.4), escapes (2.1), or invalid escapes. HAProxy decodes
    nothing in a path with an invalid escape.
    """
    escaped = f"/%{ord(path[1]):02x}{path[2:]}"
    bad = f"{path[:-1]}%{ord(path[-1]):02x}%"
    before = ["/.", "/..", "/x/..", "/./", "/%2e", "/"]
    return [*(start + path for start in before), f"{path}/", f"{path}%", f"{path};x", f"{path}?x", escaped, bad]


def _gives_metrics(client: Client, path: str) -> bool:
    try:
        return read(client, path) is not None
    except NoAnswerError:
        return False


def exposed_management(client: Client) -> Iterator[Finding]:
    """Request the management paths at the address for clients. GET drains nothing, but a client could POST."""
    if found := [path for path in _MANAGEMENT_PATHS if _is_management(client, path)]:
        cure = "Route only the application's port to clients, never the management address."
        yield error("exposed", f"Management paths answer here: {', '.join(found)}.", cure)
    else:
        yield ok("exposed", "No management path answers here.")


def _is_management(client: Client, path: str) -> bool:
    """Tell whether the answer has the management listener's form: an application may have the same path."""
    try:
        answer = client.get(path)
    except NoAnswerError:
        return False
    if answer.status == 405:
        methods = set(answer.header("Allow").replace(" ", "").split(","))
        return methods in ({"POST"}, {"PUT"}) and answer.media_type == problem.CONTENT_TYPE
    body = answer.json()
    if path == "/livez":
        return answer.status in {200, 503} and body.get("status") in {"ok", "down"}
    return answer.status == 200 and _FIELDS.get(path, {path}) <= body.keys()


def management(client: Client, scraped: Scrape | None) -> Iterator[Finding]:
    """Request the probes and the facts of a management address; ``scraped`` is its scrape."""
    answer = client.get("/info")
    if answer.status in {401, 421}:
        cure = "Set SERVICE_MANAGEMENT_TOKEN or SERVICE_MANAGEMENT_TOKEN_FILE for this command too."
        if answer.status == 421:
            cure = "Give an IP address, or add the name to SERVICE_MANAGEMENT_HOSTS of the service."
        yield error("management", f"{client} answers {answer}: this client may not read it.", cure)
        return
    info = answer.json()
    if not {"name", "version", "server"} <= info.keys():
        yield error("management", f"{client} is not a management address.", "Use SERVICE_MANAGEMENT_BIND.")
        return
    for path in ("/livez", "/readyz"):
        answer = client.get(path)
        if answer.status != 200:
            said = str(answer.json().get("reason") or answer.json().get("status") or "")[:200]
            yield error("management", f"{client}{path} answers {answer}: {said}.", "See the log.")
    if scraped is None:
        yield error("management", f"{client} has no metrics.", "Is it the address of this service?")
    facts = f"{info['name']} {info['version']} on {info['server']}"
    yield ok("management", f"{client} answers for {facts[:200]}.")
