"""The isolated state of the process for the application of a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import structlog

from flask_ops.log import process_state
from flask_ops.ops import runtime, startup


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Begin without a runtime, so that the application makes its own. Restore the process at the end."""
    with process_state.preserved(), startup.forgotten():
        before = runtime.replace(None)
        try:
            yield
        finally:
            runtime.replace(before)


def cache_no_loggers() -> None:
    """Switch off the cache of structlog's loggers: a cached logger would keep this configuration."""
    if structlog.is_configured():
        structlog.configure(**{**structlog.get_config(), "cache_logger_on_first_use": False})
