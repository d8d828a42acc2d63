"""Health checks, exact metrics, JSON log lines and safe deployments for Flask applications in production.

Everything in ``__all__`` is public, and so are the modules ``flask_ops.gunicorn``, ``flask_ops.waitress``,
``flask_ops.uwsgi``, ``flask_ops.settings``, ``flask_ops.checks``, ``flask_ops.testing`` and
``flask_ops.observability``. All other modules are private.

Each package imports only from those before it: ``core``, ``log``, ``metrics``, ``health`` (checks), ``web`` (the
observer of requests), ``management`` (the management address), ``ops`` (the extension, and all that one process has),
``servers``, ``cli``. The docstrings of ``metrics``, ``web``, ``ops`` and ``servers.gunicorn`` are maps of their
modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask_ops.cli.main import main as main
    from flask_ops.core.context import outgoing_headers as outgoing_headers
    from flask_ops.core.settings import Settings as Settings
    from flask_ops.core.variables import setting as setting
    from flask_ops.health import Check as Check
    from flask_ops.health import Checks as Checks
    from flask_ops.metrics.requests import exporter as exporter
    from flask_ops.ops.extension import Ops as Ops
    from flask_ops.servers.gunicorn.configuration import configure as configure
    from flask_ops.web.problems import ProblemError as ProblemError

__version__ = "0.2.0"

_HOMES = {
    "Check": "flask_ops.health",
    "Checks": "flask_ops.health",
    "Ops": "flask_ops.ops.extension",
    "ProblemError": "flask_ops.web.problems",
    "Settings": "flask_ops.core.settings",
    "configure": "flask_ops.servers.gunicorn.configuration",
    "exporter": "flask_ops.metrics.requests",
    "main": "flask_ops.cli.main",
    "outgoing_headers": "flask_ops.core.context",
    "setting": "flask_ops.core.variables",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - the table above is the one list


def __getattr__(name: str) -> Any:
    """Import a public name on first use: the health check needs no Flask."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
