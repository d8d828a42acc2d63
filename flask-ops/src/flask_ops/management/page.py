"""The status page on the management address: HTML, style and scripts, which read ``/status``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from flask_ops.core.http import Request, Response
from flask_ops.management import status

PATH = "/"
ASSETS = f"{status.PATH}/"
"""The folder of the page's files. Proxies refuse this path anyway, and an application may have its own ``/assets``."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # Text can only be inserted as text: the browser refuses innerHTML and similar.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),  # a page must not outlive the service whose answers it reads
)


def routes() -> dict[str, Mapping[str, Callable[[Request], Response]]]:
    """Return the handlers of each path. Read the files once: a deployment may replace them at any time."""
    routes: dict[str, Mapping[str, Callable[[Request], Response]]] = {}
    for file in sorted(Path(__file__).with_name("assets").iterdir()):
        answer = Response(200, file.read_bytes(), [("Content-Type", _TYPES[file.suffix]), *_HEADERS])
        routes[PATH if file.name == "page.html" else ASSETS + file.name] = {"GET": partial(_give, answer)}
    return routes


def _give(answer: Response, _request: Request) -> Response:
    return answer
