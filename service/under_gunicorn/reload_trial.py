"""Try the code and the configuration on disk in a process apart before SIGHUP replaces the workers.

Gunicorn ends the workers of now as soon as it has forked new ones; where these cannot load the
application it ends itself, and where its configuration cannot be read it does so at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

import structlog
from prometheus_client import Counter

from service.draining import DRAIN
from service.logs import sink
from service.telemetry import store

_log = structlog.stdlib.get_logger(__name__)


class ReloadTrial:
    """Lets SIGHUP reach Gunicorn's arbiter ``server`` only after a trial has gone well.

    ``in_child`` is called in the process of the trial, to let go of what belongs to its parent.
    """

    def __init__(self, server: Any, in_child: Callable[[], None]) -> None:
        self._server, self._in_child = server, in_child
        self._pid = 0
        self._deadline = 0.0
        self._exit_code: int | None = None
        self._again = False
        self._scratch = store.directory() / f"trial-{os.getpid()}"
        self._failures = Counter(
            "service_reload_failures", "Reloads that were refused because of the new code.", registry=None
        )
        self._reload, server.handle_hup = server.handle_hup, self._begin
        self._reap, server.reap_workers = server.reap_workers, self._reap_trial

    def turn(self) -> None:
        """Do what the trial allows, once it has ended. To be called about each second."""
        if not self._pid:
            return
        self._look()
        if self._exit_code is None:
            if time.monotonic() > self._deadline:
                os.kill(self._pid, signal.SIGKILL)
            return
        exit_code, self._pid, self._exit_code = self._exit_code, 0, None
        shutil.rmtree(self._scratch, ignore_errors=True)
        if self._again:  # the code may have changed after it was read
            self._begin()
        elif exit_code == 0:
            self._reload()
        else:
            self._failures.inc()
            _log.error("reload refused", reason=self._explain(exit_code), workers="go on with the code they have")

    def end(self) -> None:
        """End a trial that is going on: the service stops."""
        if self._pid and self._exit_code is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _begin(self) -> None:
        if DRAIN.is_final:
            _log.warning("reload refused", reason="the service is stopping")
            return
        if self._pid:
            self._again = True
            return
        self._again, self._exit_code = False, None
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        self._deadline = time.monotonic() + (self._server.timeout or 60)
        pid = os.fork()
        if pid == 0:
            self._try()
        self._pid = pid

    def _look(self) -> None:
        if self._pid and self._exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)

    def _reap_trial(self) -> None:
        self._look()  # first, because Gunicorn reaps whatever it finds
        self._reap()

    def _explain(self, exit_code: int) -> str:
        if exit_code == -signal.SIGKILL and time.monotonic() > self._deadline:
            return "the new code could not be loaded in time"
        return f"the new code could not be loaded (exit code {exit_code})"

    def _try(self) -> NoReturn:
        """Load the application as a worker would; tell how it went by the exit code."""
        exit_code = 1
        try:
            for number in self._server.SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            self._in_child()
            # What the application measures here must not reach the metrics of the service.
            os.environ[store.VARIABLE] = str(self._scratch)
            self._server.app.reload()
            self._server.app.wsgi()
            exit_code = 0
        except SystemExit as ended:  # whoever raised it has said why
            exit_code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:  # noqa: BLE001 - whatever the new code raises, it is told and refused
            _log.critical("application cannot be loaded", exc_info=True)
        finally:
            sink.flush()
            os._exit(exit_code)
