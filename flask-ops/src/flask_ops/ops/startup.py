"""The start of every serving process: settings, log and metrics store, or one log line and an exit code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TypeVar

import click
import structlog

from flask_ops import log
from flask_ops.core import multiprocess
from flask_ops.core.settings import Mode, Settings, SettingsError, unknown_variables
from flask_ops.metrics.store import STORE

EX_CANTCREAT = 73
"""Exit code for a metrics store that cannot be written (sysexits.h)."""
EX_CONFIG = 78
"""Exit code for invalid settings (sysexits.h). It tells a supervisor that a restart does not help."""

AnySettings = TypeVar("AnySettings", bound=Settings)

_warned: set[str] = set()
"""Unknown variables that were reported. Workers inherit the set, so each variable is reported once."""
_started: Settings | None = None


def start(
    settings: type[AnySettings], environ: Mapping[str, str] = os.environ, *, default_mode: Mode = Mode.PRODUCTION
) -> AnySettings:
    """Read the settings of this process and set up its log.

    Raises SystemExit with EX_CONFIG for invalid settings, after one line that names all of them. Also raises it for
    ``flask run`` outside development.
    """
    global _started  # noqa: PLW0603 - the settings of the process
    try:
        read = settings.from_environ(environ, default_mode=default_mode)
    except SettingsError as error:
        log.configure(error.rest)
        structlog.stdlib.get_logger(__name__).critical("settings cannot be used", problems=error.problems)
        raise SystemExit(EX_CONFIG) from None
    log.configure(read)
    logger = structlog.stdlib.get_logger(__name__)
    if read.mode is not Mode.DEVELOPMENT and _is_flask_run():
        logger.critical(
            "flask run is disabled outside development",
            hint="a production server, or SERVICE_ENV=development",
        )
        raise SystemExit(EX_CONFIG)
    for name, nearest in unknown_variables(environ, settings).items():
        if name not in _warned:
            _warned.add(name)
            logger.warning("unknown variable", variable=name, did_you_mean=nearest)
    _started = read
    return read


def started() -> Settings | None:
    """Return the settings that ``start`` read in this process or in its parent, None before."""
    return _started


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """Undo the effects of ``start`` on this module at the end of the block. For tests."""
    global _started  # noqa: PLW0603 - the settings of the process
    started_before, warned_before = _started, set(_warned)
    try:
        yield
    finally:
        _started = started_before
        _warned.intersection_update(warned_before)


def open_store(*, if_chosen: bool = False, loader: int | None = None) -> None:
    """Make the metrics store. If that fails, log one line and raise SystemExit with EX_CANTCREAT.

    ``if_chosen`` makes it only if ``PROMETHEUS_MULTIPROC_DIR`` is set: a server with one process needs no store.
    ``Store.make`` explains ``loader``.
    """
    if if_chosen and not multiprocess.is_shared():
        return
    try:
        STORE.make(loader)
    except OSError as error:
        logger = structlog.stdlib.get_logger(__name__)
        logger.critical(
            "metrics store cannot be written", directory=error.filename, reason=error.strerror or str(error)
        )
        raise SystemExit(EX_CANTCREAT) from None


def _is_flask_run() -> bool:
    """Tell whether ``flask run``, which has the debugger, loads the application."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "run"
