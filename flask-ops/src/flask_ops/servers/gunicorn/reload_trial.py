"""Try the code and the configuration on disk in a process apart before SIGHUP replaces the workers.

Gunicorn ends the workers of now as soon as it has forked new ones; where these cannot load the
application it ends itself, and where its configuration cannot be read it does so at once.
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
    """Lets SIGHUP reach Gunicorn's arbiter ``server`` only after a trial has gone well.

    A reload waits while ``succession`` is busy with the one before.
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
        """Do what the trial allows, once it has ended. To be called about each second."""
        if DRAIN.is_final and (self._pid or self._is_asked):  # new workers would come in the midst of it
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
        """End a trial that is going on: the service stops."""
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
        except OSError as error:  # no process left, say: no reason to end those there are
            self._refuse(f"the new code could not be tried ({error})")

    def _start(self) -> None:
        for folder in (self._scratch.parent, self._scratch):  # somebody may have cleaned up
            folder.mkdir(mode=0o700, exist_ok=True)
        mine, its = os.pipe()
        try:
            self._master.before_trial()
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
        if self._is_asked:  # once more: the code may have changed after it was read
            return
        if answer == _LOADED:
            Arbiter.handle_hup(self._server)
        else:
            self._refuse(self._explain(answer))

    def _has_ended(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG) != (0, 0)
        except ChildProcessError:  # Gunicorn, which reaps whatever it finds, was first
            return True

    def _take_answer(self) -> bytes:
        """Return what the trial that has ended said, and be ready for the next one."""
        os.set_blocking(self._answer, False)  # what it has started may live on, and hold the other end
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
        """Load the application as a worker would; say how it went in the pipe ``answer``.

        The exit code would not do: 0 is also what code ends with that ends its process.
        """
        said = b""
        try:
            for number in self._server.SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            self._master.let_go()
            # What the application measures here must not reach the metrics of the service.
            os.environ[multiprocess.VARIABLE] = str(self._scratch)
            self._server.app.reload()
            refusals.try_out(self._server)
            self._server.app.wsgi()
            said = _LOADED
        except SystemExit as ended:  # whoever raised it has said why
            said = f"exit code {ended.code}".encode(errors="replace")
        except BaseException as error:  # noqa: BLE001 - whatever the new code raises, it is told and refused
            _log.critical("application cannot be loaded", exc_info=True)
            said = type(error).__name__.encode()
        finally:
            sink.flush()
            os.write(answer, said[:_ANSWER_BYTES])
            os._exit(0)
