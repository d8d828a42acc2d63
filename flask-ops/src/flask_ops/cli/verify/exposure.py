"""Tests that the development server, its debugger and the paths for operators are not exposed.

``/metrics`` on the application's port is a warning, because it is the default, and some platforms route one port only.
On a public URL (``--public``) it is an error. The management paths are an error everywhere but on the management
address: a client that reaches ``/drain`` can drain the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask_ops.cli.findings import Finding, error, note, ok, warning
from flask_ops.cli.verify.answer import Answer
from flask_ops.cli.verify.client import Client, NoAnswerError
from flask_ops.cli.verify.counting import Scrape, read
from flask_ops.metrics import scrape

_DEBUGGER = "/?__debugger__=yes&cmd=resource&f=style.css"
PATHS = ("/livez", "/info", "/status", "/drain", "/resume", "/loglevel")
"""Paths that only the management listener has."""
_FIELDS = {"/info": {"pid", "server", "mode"}, "/status": {"service", "workers"}, "/loglevel": {"loggers"}}
_INSTEAD = "Set SERVICE_ENV=production and use a server of the README."


def server(client: Client, first: Answer, scraped: Scrape | None) -> Iterator[Finding]:
    """Judge which server answers."""
    name = first.header("Server")[:80]
    debugger = client.get(_DEBUGGER)
    if debugger.status == 200 and debugger.media_type == "text/css":
        yield error(
            "server", "The development server answers, with its debugger: the PIN lets anyone run code.", _INSTEAD
        )
    elif "werkzeug" in name.lower() or (scraped and scraped.server == "werkzeug"):
        yield error("server", "This is a development server.", _INSTEAD)
    elif scraped and scraped.mode not in {"", "production"}:
        yield error("server", f"The mode is {scraped.mode}.", "SERVICE_ENV=production")
    elif re.search(r"/\s*v?\d", name):
        yield note("server", f"It says its version: {name}.", "server_tokens off (nginx), ServerTokens Prod (Apache)")
    else:
        yield ok("server", f"No development server, no debugger; the Server header is {name or 'empty'}.")


def metrics(client: Client, scraped: Scrape | None, *, public: bool) -> Finding:
    """Judge whether the application's port serves metrics and, if it is ``public``, also under other spellings."""
    cure = "Set SERVICE_METRICS_ON_APP=false and scrape the management address; or refuse it in the proxy."
    if scraped is not None:
        text = f"Every client of this URL can read {scrape.PATH}."
        return error("exposed", text, cure) if public else warning("exposed", text, cure)
    found = [path for path in spellings(scrape.PATH) if public and _gives_metrics(client, path)]
    if found:
        return error("exposed", f"{scrape.PATH} is refused, but not {', '.join(found)}.", cure)
    return ok("exposed", f"No {scrape.PATH} on the application's port{', in any spelling' if public else ''}.")


def spellings(path: str) -> list[str]:
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


def management(client: Client) -> Finding:
    """Request the management paths at the address for clients. GET drains nothing."""
    found = [path for path in PATHS if _is_management(client, path)]
    if found:
        return error(
            "exposed",
            f"Management paths answer here: {', '.join(found)}.",
            "Route only the application's port to clients, never the management address.",
        )
    return ok("exposed", "No management path answers here.")


def _is_management(client: Client, path: str) -> bool:
    """Tell whether the answer has the management listener's form: an application may have the same path."""
    try:
        answer = client.get(path)
    except NoAnswerError:
        return False
    if answer.status == 405:
        methods = set(answer.header("Allow").replace(" ", "").split(","))
        return methods in ({"POST"}, {"PUT"}) and answer.media_type == "application/problem+json"
    body = answer.json()
    if path == "/livez":
        return answer.status in {200, 503} and body.get("status") in {"ok", "down"}
    return answer.status == 200 and _FIELDS.get(path, {path}) <= body.keys()
