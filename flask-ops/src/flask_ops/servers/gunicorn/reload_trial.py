"""The trial of new code and configuration in a separate process, before SIGHUP replaces the workers.

Without this module, Gunicorn ends the current workers as soon as it has forked new ones. If the new workers cannot load
the application, Gunicorn exits. If it cannot read its configuration, it exits at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import Any, NoReturn

import structlog
from gunicorn.arbiter import Arbiter
from prometheus_client import Counter

from flask_ops.core import multiprocess
from flask_ops.core.draining import DRAIN
from flask_ops.log import sink
from flask_ops.servers.gunicorn import refusals
from flask_ops.servers.gunicorn.master import Master
from flask_ops.servers.gunicorn.succession import Succession

_LOADED = b"loaded"
_ANSWER_BYTES = 1000
_log = structlog.stdlib.get_logger(__name__)


class ReloadTrial:
    """Passes SIGHUP to Gunicorn's arbiter ``server`` only after a successful trial.

    A reload waits until ``succession`` has finished the previous one.
    """

    def __init__(self, server: Any, succession: Succession, master: Master) -> None:
        self._server, self._succession, self._master = server, succession, master
        self._pid = 0
        self._answer = -1
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
            self._conclude(self._take_answer())
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
            self._start()
        except OSError as error:  # no process left, for example: the current workers continue
            self._refuse(f"the new code could not be tried ({error})")

    def _start(self) -> None:
        for folder in (self._scratch.parent, self._scratch):  # a cleanup job may have removed them
            folder.mkdir(mode=0o700, exist_ok=True)
        mine, its = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(mine)
            os.close(its)
            raise
        if pid == 0:
            self._try(its)
        os.close(its)
        self._pid, self._answer = pid, mine

    def _conclude(self, answer: bytes) -> None:
        if self._is_asked:  # another SIGHUP came: the code may have changed since this trial read it
            return
        if answer == _LOADED:
            Arbiter.handle_hup(self._server)
        else:
            self._refuse(self._explain(answer))

    def _has_ended(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG) != (0, 0)
        except ChildProcessError:  # Gunicorn, which reaps every child, was first
            return True

    def _take_answer(self) -> bytes:
        """Return the answer of the ended trial, and clean up for the next one."""
        os.set_blocking(self._answer, False)  # a surviving grandchild may hold the other end
        try:
            return os.read(self._answer, _ANSWER_BYTES)
        except BlockingIOError:
            return b""
        finally:
            os.close(self._answer)
            self._pid = 0
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _refuse(self, reason: str) -> None:
        self._failures.inc()
        _log.error("reload refused", reason=reason, workers="go on with the code they have")

    def _explain(self, answer: bytes) -> str:
        if answer:
            return f"the new code could not be loaded ({answer.decode(errors='replace')})"
        if time.monotonic() > self._deadline:
            return "the new code could not be loaded in time"
        return "the new code ended the process that was to load it"

    def _try(self, answer: int) -> NoReturn:
        """Load the application like a worker, and write the result to the pipe ``answer``.

        The exit code is not enough: new code that ends its process can also exit with 0.
        """
        said = b""
        try:
            for number in self._server.SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            self._master.let_go()
            # Metrics of this process must not reach the metrics of the service.
            os.environ[multiprocess.VARIABLE] = str(self._scratch)
            self._server.app.reload()
            refusals.try_out(self._server)
            self._server.app.wsgi()
            said = _LOADED
        except SystemExit as ended:  # the raising code has logged the reason
            said = f"exit code {ended.code}".encode(errors="replace")
        except BaseException as error:  # noqa: BLE001 - any error refuses the reload
            _log.critical("application cannot be loaded", exc_info=True)
            said = type(error).__name__.encode()
        finally:
            sink.flush()
            os.write(answer, said[:_ANSWER_BYTES])
            os._exit(0)
