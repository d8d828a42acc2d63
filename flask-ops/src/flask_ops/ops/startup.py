"""The start of every serving process: settings, log and metrics store, or one log line and an exit code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import click
import structlog

from flask_ops import log
from flask_ops.core import greenlets, multiprocess
from flask_ops.core.settings import Mode, Settings, SettingsError, unknown_variables
from flask_ops.metrics.store import STORE

EX_CANTCREAT = 73
"""Exit code for a metrics store that cannot be written or is not safe (sysexits.h)."""
EX_CONFIG = 78
"""Exit code for invalid settings (sysexits.h). It tells a supervisor that a restart does not help."""

AnySettings = TypeVar("AnySettings", bound=Settings)


class Process:
    """The parts that a process has once: its settings and its runtime. A fork copies them."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        """The settings that ``start`` read in this process or in its parent."""
        self.runtime: Any = None
        """The ``Runtime``, whose module imports this one."""
        self.warned: set[str] = set()
        """Unknown variables that were reported. Workers inherit the set, so each variable is reported once."""

    @contextlib.contextmanager
    def isolated(self) -> Iterator[None]:
        """Begin without a runtime, and restore everything at the end. For tests."""
        before = {**vars(self), "warned": set(self.warned)}
        self.runtime = None
        try:
            yield
        finally:
            vars(self).update(before)


PROCESS = Process()


def start(
    settings: type[AnySettings], environ: Mapping[str, str] = os.environ, *, default_mode: Mode = Mode.PRODUCTION
) -> AnySettings:
    """Read the settings of this process and set up its log.

    Raises SystemExit with EX_CONFIG for invalid settings, after one line that names all of them. Also raises it for
    ``flask run`` outside development.
    """
    logger = structlog.stdlib.get_logger(__name__)
    try:
        read = settings.from_environ(environ, default_mode=default_mode)
    except SettingsError as error:
        log.configure(error.rest)
        logger.critical("settings cannot be used", problems=error.problems)
        raise SystemExit(EX_CONFIG) from None
    log.configure(read)
    command = click.get_current_context(silent=True)
    # The debugger of `flask run` runs code for every client.
    if read.mode is not Mode.DEVELOPMENT and command is not None and command.info_name == "run":
        hint = "a production server, or SERVICE_ENV=development"
        logger.critical("flask run is disabled outside development", hint=hint)
        raise SystemExit(EX_CONFIG)
    for name, nearest in unknown_variables(environ, settings).items():
        if name not in PROCESS.warned:
            PROCESS.warned.add(name)
            logger.warning("unknown variable", variable=name, did_you_mean=nearest)
    PROCESS.settings = read
    return read


@contextlib.contextmanager
def only_threads() -> Iterator[None]:
    """Refuse greenlets after the block, which loads an application, even if it raises.

    A monkey patch breaks the locks that are held, so the exception of the application can have any form.
    """
    try:
        yield
    finally:
        refuse_greenlets()


def refuse_greenlets() -> None:
    """Log one line and raise SystemExit with EX_CONFIG if greenlets have replaced the threads of this process.

    A request that computes would stop all others, and the probes, the scrapes, the checks and the log.
    """
    if reason := greenlets.reason():
        structlog.stdlib.get_logger(__name__).critical("greenlets cannot be used", reason=reason, hint=greenlets.HINT)
        raise SystemExit(EX_CONFIG)


def open_store(*, if_chosen: bool = False, loader: int | None = None, workers_change_user: bool = False) -> None:
    """Make the metrics store. If that fails, log one line and raise SystemExit with EX_CANTCREAT.

    ``if_chosen`` makes it only if ``PROMETHEUS_MULTIPROC_DIR`` is set: a server with one process needs no store.
    ``Store.make`` explains ``loader`` and ``workers_change_user``. After the latter, call ``give_store``.
    """
    if if_chosen and not multiprocess.is_shared():
        return
    with _refusing():
        STORE.make(loader, workers_change_user=workers_change_user)


def give_store(user: int, group: int) -> None:
    """Give the metrics store of a root to the user of the workers. Fails like ``open_store``."""
    with _refusing():
        STORE.give_to(user, group)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    logger = structlog.stdlib.get_logger(__name__)
    try:
        yield
    except multiprocess.UnsafeStoreError as error:
        event, hint = "metrics store is not safe", multiprocess.CURE
        logger.critical(event, directory=error.filename, reason=error.strerror, hint=hint)
        raise SystemExit(EX_CANTCREAT) from None
    except OSError as error:
        reason = error.strerror or str(error)
        logger.critical("metrics store cannot be written", directory=error.filename, reason=reason)
        raise SystemExit(EX_CANTCREAT) from None
