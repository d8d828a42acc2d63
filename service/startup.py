"""What every server does first: read the settings, set up the log, or stop with one message."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click
import structlog

from service import logs
from service.settings import Mode, Settings, SettingsError, unknown_variables
from service.telemetry import store, store_folder

EX_CANTCREAT = 73
"""Exit code for a metrics store that cannot be written (sysexits.h)."""
EX_CONFIG = 78
"""Exit code for wrong settings (sysexits.h): a supervisor can tell that a restart won't help."""

_warned: set[str] = set()
"""Unknown variables that were reported; workers inherit it, so that each is reported once."""


def start(environ: Mapping[str, str] = os.environ, *, default_mode: Mode = Mode.PRODUCTION) -> Settings:
    """Return the settings, with the log set up.

    Raises SystemExit, after one line that names every wrong variable, where they cannot be used.
    """
    try:
        settings = Settings.from_environ(environ, default_mode=default_mode)
    except SettingsError as error:
        logs.configure(error.rest)
        log = structlog.stdlib.get_logger(__name__)
        log.critical("settings cannot be used", problems=error.problems)
        raise SystemExit(EX_CONFIG) from None
    logs.configure(settings)
    if settings.mode is not Mode.DEVELOPMENT and _is_flask_run():
        structlog.stdlib.get_logger(__name__).critical(
            "the development server does not serve production", instead="make run, or SERVICE_ENV=development"
        )
        raise SystemExit(EX_CONFIG)
    log = structlog.stdlib.get_logger(__name__)
    for name, nearest in unknown_variables(environ).items():
        if name not in _warned:
            _warned.add(name)
            log.warning("unknown variable", variable=name, did_you_mean=nearest)
    return settings


def open_store(*, if_chosen: bool = False) -> None:
    """Make the metrics store; raise SystemExit, after one line in the log, where that cannot be done.

    ``if_chosen`` is for servers with one process, which need none: only where ``PROMETHEUS_MULTIPROC_DIR`` is set.
    """
    if if_chosen and not store.is_shared():
        return
    try:
        store_folder.make()
    except OSError as error:
        log = structlog.stdlib.get_logger(__name__)
        log.critical("metrics store cannot be written", directory=error.filename, reason=error.strerror or str(error))
        raise SystemExit(EX_CANTCREAT) from None


def _is_flask_run() -> bool:
    """Tell whether ``flask run`` is what loads the application: it brings the debugger, if asked to."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "run"
