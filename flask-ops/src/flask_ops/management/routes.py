"""The routes of the management listener: probes, scrapes and facts, outside the worker pool."""

from __future__ import annotations

import os
import platform
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import parse_qs

import structlog

from flask_ops.core.draining import DRAIN
from flask_ops.core.http import Handler, Request, Response, Shared
from flask_ops.core.settings import Settings
from flask_ops.management import levels, page, status
from flask_ops.management.access import Access
from flask_ops.management.listener import Listener
from flask_ops.management.recent import Recent
from flask_ops.metrics import scrape
from flask_ops.metrics.scrape import Form, Scrape
from flask_ops.web.answers import json_answer, problem_answer
from flask_ops.web.health_answer import Find, UnknownCheckError, answer, as_json

INHERITED = "MANAGEMENT_FD"
"""The variable that passes the socket's descriptor from a master to its successor (SIGUSR2)."""

_SAFE = frozenset({"GET", "HEAD"})
_PROBES = frozenset({"/livez", "/readyz"})
"""Answered to everybody: no mistake in the settings of access may restart the service."""
_log = structlog.stdlib.get_logger(__name__)


class Management:
    """Answers the requests of the management listener.

    ``fault`` returns the reason why the service is not alive, None if it is. ``readiness`` queries no dependency.
    ``counts`` returns what the charts of the page need, about every five seconds. ``server`` is the name of the server
    that runs this process.
    """

    def __init__(
        self,
        settings: Settings,
        fault: Callable[[], str | None],
        readiness: Find,
        collect: scrape.Collect,
        counts: scrape.Collect,
        *,
        server: str,
    ) -> None:
        self.settings, self.fault, self.readiness = settings, fault, readiness
        self.collect, self.server = collect, server
        self.recent = Recent(counts)
        self._access = Access(settings)
        self._next_scrape: Callable[[], Scrape | None] = lambda: None
        self._routes: Mapping[str, Mapping[str, Handler]] = {
            "/livez": {"GET": self._livez},
            "/readyz": {"GET": self._readyz},
            "/drain": {"POST": self._drain},
            "/resume": {"POST": self._resume},
            "/loglevel": {"GET": levels.show, "PUT": levels.change},
            scrape.PATH: {"GET": self._metrics},
            "/info": {"GET": self._info},
            status.PATH: {"GET": self._status},
            **page.routes(),
        }

    def answer(self, request: Request) -> Response | Shared:
        """Return the answer to one request."""
        changes = request.method not in _SAFE
        if changes or request.path not in _PROBES:
            refusal = self._access.refusal(request, changes=changes)
            if refusal is not None:
                return refusal
        route = self._routes.get(request.path)
        if route is None:
            names = ", ".join(path for path in self._routes if not path.startswith(page.ASSETS))
            return problem_answer(404, f"There is only {names}.")
        allowed = [*route, "HEAD"] if "GET" in route else [*route]
        if request.method not in allowed:
            names = ", ".join(allowed)
            return problem_answer(405, f"Allowed here: {names}.", ("Allow", names))
        return route["GET" if request.method == "HEAD" else request.method](request)

    def _livez(self, _request: Request) -> Response:
        fault = self.fault()
        return json_answer(200, {"status": "ok"}) if fault is None else json_answer(503, _down(fault))

    def _readyz(self, request: Request) -> Response:
        fault = self.fault()
        if fault is not None:  # regardless of earlier results of the workers
            return json_answer(503, _down(fault))
        may_read = self._access.refusal(request, changes=False) is None
        try:
            return answer(self.readiness, request.query, verbose=may_read)
        except UnknownCheckError as error:
            return problem_answer(400, str(error))

    def _drain(self, request: Request) -> Response:
        if not DRAIN:
            DRAIN.begin()
            _log.warning("draining", asked_by="operator", client=request.client)
        return json_answer(200, {"status": "draining"})

    def _resume(self, request: Request) -> Response:
        if not DRAIN:
            return json_answer(200, {"status": "serving"})
        seconds = DRAIN.seconds
        if not DRAIN.end():
            return problem_answer(409, "The service is stopping, and cannot resume.")
        drained = round(seconds, 3)
        _log.warning("serving again", asked_by="operator", client=request.client, drained_seconds=drained)
        return json_answer(200, {"status": "serving"})

    def _metrics(self, request: Request) -> Shared:
        accept, encoding = request.headers.get("accept", ""), request.headers.get("accept-encoding", "")
        form = Form.accepted(accept, encoding, parse_qs(request.query).get("name[]", []))
        found = self._scrape()
        return Shared(form, lambda: Response(200, *found.render(form)), unbounded=bool(form.names))

    def _scrape(self) -> Scrape:
        """Return the scrape for all requests that arrive until it begins. It is kept while one of them waits."""
        found = self._next_scrape()
        if found is None or found.has_begun:
            found = Scrape(self.collect)
            self._next_scrape = weakref.ref(found)
        return found

    def _info(self, _request: Request) -> Response:
        facts = {
            "name": self.settings.name,
            "version": self.settings.version,
            "mode": self.settings.mode,
            "server": self.server,
            "python": platform.python_version(),
            "pid": os.getpid(),
        }
        return json_answer(200, facts)

    def _status(self, _request: Request) -> Shared:
        return Shared(status.PATH, partial(self._make_status, self._scrape()))

    def _make_status(self, found: Scrape) -> Response:
        fault = self.fault()
        if fault is None:
            result = self.readiness(())
            readiness = as_json(result.status, result.checks.values())
        else:
            readiness = _down(fault)
        metrics = found.metrics.values()
        document = status.document(self.settings, metrics, server=self.server, fault=fault, readiness=readiness)
        return json_answer(200, {**document, "recent": self.recent.document()})

    def listen(self) -> Listener | None:
        """Return the listener, bound and not started; None if ``SERVICE_MANAGEMENT_BIND`` is empty.

        Raises SystemExit after one line in the log if the address is not available. A service that cannot be monitored
        must not start.
        """
        bind = self.settings.management_bind
        inherited = os.environ.pop(INHERITED, None)
        if bind is None:
            return None
        try:
            listener = Listener.inherit(int(inherited), self.answer) if inherited else Listener.bind(bind, self.answer)
            listener.background = self.recent.sample
        except OSError as error:
            _log.critical(
                "cannot listen for management",
                bind=str(bind),
                reason=error.strerror or str(error),
                hint="stop the other instance, or set another SERVICE_MANAGEMENT_BIND and SERVICE_BIND",
            )
            raise SystemExit(1) from None
        _log.info("management listening", address=str(listener.address))
        return listener


def _down(fault: str) -> dict[str, str]:
    return {"status": "down", "reason": fault}
