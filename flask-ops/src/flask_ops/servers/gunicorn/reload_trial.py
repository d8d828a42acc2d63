"""The trial of new code and configuration in a separate process, before SIGHUP replaces the workers.

Without this module, Gunicorn ends the current workers as soon as it has forked new ones. If the new workers cannot load
the application, Gunicorn exits. If it cannot read its configuration, it exits at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Any, NoReturn

import structlog
from gunicorn import sock
from gunicorn.arbiter import Arbiter
from gunicorn.pidfile import Pidfile
from gunicorn.workers.workertmp import WorkerTmp
from prometheus_client import Counter

from flask_ops.core import multiprocess
from flask_ops.core.draining import DRAIN
from flask_ops.log import sink
from flask_ops.ops.startup import EX_CONFIG, only_threads, refuse_greenlets
from flask_ops.servers.gunicorn import worker_classes
from flask_ops.servers.gunicorn.master import Master
from flask_ops.servers.gunicorn.succession import Succession

_LOADED = b"loaded"
_log = structlog.stdlib.get_logger(__name__)


class ReloadTrial:
    """Passes SIGHUP to Gunicorn's arbiter ``server`` only after a successful trial.

    A reload waits until ``succession`` has finished the previous one.
    """

    def __init__(self, server: Any, succession: Succession, master: Master) -> None:
        self._server, self._succession, self._master = server, succession, master
        self._pid = 0
        self._answer: IO[bytes] | None = None
        self._deadline = 0.0
        self._is_asked = False
        self._scratch = multiprocess.directory() / f"trial-{os.getpid()}"
        self._failures = Counter(
            "service_reload_failures", "Reloads that were refused because of the new code.", registry=None
        )

    def turn(self) -> None:
        """Act on the result of a finished trial. Call this about once a second."""
        if DRAIN.is_final and (self._pid or self._is_asked):  # a reload would start workers during the stop
            self.end()
            self._is_asked = False
            _log.warning("reload refused", reason="the service is stopping")
        elif self._pid and self._has_ended():
            self._conclude()
        elif self._pid and time.monotonic() > self._deadline:
            os.kill(self._pid, signal.SIGKILL)
        if self._is_asked:
            self._begin()

    def end(self) -> None:
        """End the current trial, because the service stops."""
        if not self._pid:
            return
        if not self._has_ended():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._take_answer()

    def ask(self) -> None:
        """Try the new code, then reload."""
        if DRAIN.is_final:
            _log.warning("reload refused", reason="the service is stopping")
            return
        self._is_asked = True
        self._begin()

    def _begin(self) -> None:
        if self._pid or self._succession.is_going_on:
            return
        self._is_asked = False
        self._deadline = time.monotonic() + (self._server.timeout or 60)
        try:
            for folder in (self._scratch.parent, self._scratch):  # a cleanup job may have removed them
                folder.mkdir(mode=0o700, exist_ok=True)
            # The exit code is not enough: new code that ends its process can also exit with 0.
            answer = tempfile.TemporaryFile()  # noqa: SIM115 - until the trial ends
            pid = os.fork()
        except OSError as error:  # no process left, for example: the current workers continue
            self._refuse(f"the new code could not be tried ({error})")
            return
        if pid == 0:
            self._try(answer)
        self._pid, self._answer = pid, answer

    def _conclude(self) -> None:
        answer = self._take_answer()
        if self._is_asked:  # another SIGHUP came: the code may have changed since this trial read it
            return
        if answer == _LOADED:
            Arbiter.handle_hup(self._server)
        elif answer:
            self._refuse(f"the new code could not be loaded ({answer.decode(errors='replace')})")
        elif time.monotonic() > self._deadline:
            self._refuse("the new code could not be loaded in time")
        else:
            self._refuse("the new code ended the process that was to load it")

    def _has_ended(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG) != (0, 0)
        except ChildProcessError:  # the master, which reaps every child, was first
            return True

    def _take_answer(self) -> bytes:
        """Return the answer of the ended trial, and clean up for the next one."""
        assert self._answer is not None  # noqa: S101 - set with the pid
        with self._answer as file:
            file.seek(0)
            answer = file.read()
        self._pid = 0
        shutil.rmtree(self._scratch, ignore_errors=True)
        return answer

    def _refuse(self, reason: str) -> None:
        self._failures.inc()
        _log.error("reload refused", reason=reason, workers="go on with the code they have")

    def _try(self, answer: IO[bytes]) -> NoReturn:
        """Load the application like a worker, and write the result to the file ``answer``."""
        said = b""
        try:
            for number in self._server.SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            self._master.let_go()
            # Metrics of this process must not reach the metrics of the service.
            os.environ[multiprocess.VARIABLE] = str(self._scratch)
            self._server.app.reload()
            _use(self._server)
            with only_threads():
                self._server.app.wsgi()
            said = _LOADED
        except SystemExit as ended:  # the raising code has logged the reason
            said = f"exit code {ended.code}".encode(errors="replace")
        except BaseException as error:  # noqa: BLE001 - any error refuses the reload
            _log.critical("application cannot be loaded", exc_info=True)
            said = type(error).__name__.encode()
        finally:
            sink.flush()
            os.write(answer.fileno(), said)
            os._exit(0)


def refuse(cfg: Any) -> None:
    """Log one line and raise SystemExit if the service cannot run with ``cfg``."""
    refuse_greenlets()  # gunicorn.conf.py has run
    for event, why in refusals(cfg):
        _refuse(event, **why)


def refusals(cfg: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield an event, its reason and a hint for each setting of ``cfg`` with which the service cannot run."""
    if cfg.preload_app:
        reason = "the threads that run checks and publish metrics would not survive the fork of the workers"
        hint = "leave it off: workers share what the master has loaded as it is"
        yield "preload_app cannot be used", {"reason": reason, "hint": hint}
    if fault := worker_classes.fault(cfg):
        yield "worker_class cannot be used", {"reason": fault, "hint": worker_classes.CURE}
    try:
        WorkerTmp(cfg).close()
    except (OSError, RuntimeError) as error:
        hint = "a folder in which this user may create files, best in memory"
        why = {"directory": cfg.worker_tmp_dir, "reason": str(error), "hint": hint}
        yield "worker_tmp_dir cannot be used", why


def _use(server: Any) -> None:
    """Use the configuration of ``server.app`` like a reload by the arbiter ``server``, but without the hooks.

    Raises the errors of a reload. If the reload would lose requests, logs one line and raises SystemExit.
    """
    old, new = server.cfg, server.app.cfg
    refuse(new)
    if new.address != old.address:
        _refuse(
            "bind cannot change with a reload",
            reason="what waits in the queue of the old listener would be reset",
            hint="SIGUSR2, or a restart",
        )
    if new.is_ssl:
        sock.ssl_context(new)
    if new.pidfile:
        file = Pidfile(f"{new.pidfile}.trial")
        file.create(os.getpid())
        file.unlink()


def _refuse(event: str, **why: str) -> NoReturn:
    _log.critical(event, **why)
    raise SystemExit(EX_CONFIG)
