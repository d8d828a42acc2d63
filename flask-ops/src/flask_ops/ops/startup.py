"""The start of every process that serves: settings, log and metrics store, or one message and an exit code."""

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
from flask_ops.metrics import store_folder

EX_CANTCREAT = 73
"""Exit code for a metrics store that cannot be written (sysexits.h)."""
EX_CONFIG = 78
"""Exit code for invalid settings (sysexits.h): a supervisor can tell that a restart won't help."""

AnySettings = TypeVar("AnySettings", bound=Settings)

_warned: set[str] = set()
"""Unknown variables that were reported; workers inherit it, so that each is reported once."""
_started: Settings | None = None


def start(
    settings: type[AnySettings], environ: Mapping[str, str] = os.environ, *, default_mode: Mode = Mode.PRODUCTION
) -> AnySettings:
    """Read the settings of this process and set up its log.

    Raises SystemExit with EX_CONFIG, after one line that names every invalid variable, if they cannot be used.
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
    """Return the settings that ``start`` has read in this process or in its parent; None before."""
    return _started


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """Forget at the end of the block what ``start`` has noted in it: for tests."""
    global _started  # noqa: PLW0603 - the settings of the process
    started_before, warned_before = _started, set(_warned)
    try:
        yield
    finally:
        _started = started_before
        _warned.intersection_update(warned_before)


def open_store(*, if_chosen: bool = False, loader: int | None = None) -> None:
    """Make the metrics store. Raises SystemExit, after one line in the log, if that fails.

    ``if_chosen`` is for servers with one process, which need none: only if ``PROMETHEUS_MULTIPROC_DIR`` is set.
    ``loader`` is that of ``store_folder.make``.
    """
    if if_chosen and not multiprocess.is_shared():
        return
    try:
        store_folder.make(loader)
    except OSError as error:
        logger = structlog.stdlib.get_logger(__name__)
        logger.critical(
            "metrics store cannot be written", directory=error.filename, reason=error.strerror or str(error)
        )
        raise SystemExit(EX_CANTCREAT) from None


def _is_flask_run() -> bool:
    """Tell whether ``flask run`` loads the application: it has the debugger."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "run"
