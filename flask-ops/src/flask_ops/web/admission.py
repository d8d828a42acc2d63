"""Refuses requests that have waited too long for a thread. Without it, an overloaded service answers no client in time.

A service at five times its capacity works through a queue of clients that have given up. It still does when the load
has dropped. A refusal costs little, so the threads reach the clients that still wait.

A request is refused if it has waited longer than ``SERVICE_QUEUE_SECONDS``. That alone would keep the queue at this
limit. So while a queue stands, the limit is a quarter: as many requests are served, and they wait less. A queue stands
if it was not empty for a time. The queue of a burst empties before.

The idea is CoDel's (RFC 8289): a queue is judged by the time in it, not by its length. As in Ben Maurer's "Fail at
Scale" (ACM Queue 13-8, 2015), the limit has two values. Maurer's order, the newest request first, refuses the others
later, and the kernel's accept queue has a fixed order. ``tests/web/test_admission.py`` has the simulation.
"""

from __future__ import annotations

import math
import random
import re
import threading
from time import monotonic

import structlog

from flask_ops.core.settings import Settings
from flask_ops.metrics import slo
from flask_ops.metrics.requests import RequestMetrics

STANDING_SHARE = 0.8
"""A queue stands if it was never empty for so long, as a share of the limit."""
OVERLOAD_SHARE = 0.25
"""The limit while a queue stands, as a share of the limit. Six clients for each thread that never pause, with a view of
50 ms, wait for 0.25 s: they are no overload at the default limit."""
SHORT_SECONDS = 0.015
"""A request that waited less found no queue. The kernel counts in ticks of up to 10 ms."""
LINES_PER_BEAT = 5
"""Maximum number of refused requests with a line of their own in half a second."""
RETRY_SECONDS = (1, 5)
"""The range of ``Retry-After``. Clients that were refused together must not come back together."""

_PARAMETER = re.compile(r"<(?:(\w+)(?:\([^<>]*\))?:)?\w+>")
_CONVERTERS = {"path": ".+", "int": "[0-9]+"}
_log = structlog.stdlib.get_logger(__name__)


class Admission:
    """Decides for one process which requests are refused, and counts them.

    ``allowed`` is the longest wait of a request at this moment, in seconds.
    """

    def __init__(self, settings: Settings, metrics: RequestMetrics) -> None:
        self.limit = self.allowed = settings.queue_seconds or math.inf
        self.probes: set[str] = set()
        """Routes that are never refused. A route of a probe has no parameters, so it is a path too."""
        self.trusts_request_start = settings.trusted_proxies > 0
        """True if ``X-Request-Start`` counts. Any client can send it."""
        self._critical = re.compile("|".join(map(_pattern, settings.critical_routes)) or r"(?!)")
        self._routes = {
            route: re.compile(_pattern(route)) for route in sorted(slo.named_routes(settings), key=_breadth)
        }
        self._metrics = metrics
        self._ready = 0.0
        self._since = math.inf
        """The time since which the queue was never empty. Infinite if the latest request did not wait."""
        self._latest = 0.0
        """The time when a thread took the latest request that had waited."""
        self._counting = threading.Lock()
        self._lines = 0
        self._without_line = 0

    @property
    def is_overloaded(self) -> bool:
        """True while a queue stands."""
        return self.allowed < self.limit

    def open(self) -> None:
        """Note that the process can serve from now on. The time before, such as its start, is no overload."""
        self._ready = monotonic()

    def is_critical(self, path: str) -> bool:
        """Tell whether a request goes first: those of probes, and those that ``SERVICE_CRITICAL_ROUTES`` names."""
        return path in self.probes or self._critical.fullmatch(path) is not None

    def refuses(self, path: str, queued: float) -> bool:
        """Tell whether to refuse a request that a thread has taken, after it waited for ``queued`` seconds."""
        if queued < SHORT_SECONDS and self.allowed == self.limit:  # the common case
            self._since = math.inf
            return False
        if self.is_critical(path):
            # It went first, so its wait tells nothing of the others.
            return self._is_late(queued, self.limit) and path not in self.probes
        self._note(queued)
        return self._is_late(queued, self.allowed)

    def _note(self, queued: float) -> None:
        now = monotonic()
        if self._since == math.inf or now - queued > self._latest:  # no queue, or it was empty when this one came
            self._since, self.allowed = now, self.limit
        elif now - self._since > self.limit * STANDING_SHARE:
            self.allowed = max(self.limit * OVERLOAD_SHARE, SHORT_SECONDS)
        self._latest = now

    def _is_late(self, queued: float, allowed: float) -> bool:
        return queued > allowed and monotonic() - self._ready > allowed

    @property
    def wants_line(self) -> bool:
        """True if the next refused request gets a line of its own."""
        return self._lines < LINES_PER_BEAT

    @property
    def is_queueing(self) -> bool:
        """True if the latest request had to wait."""
        return self._since < math.inf

    def refused(self, path: str, queued: float) -> bool:
        """Count a refused request. Return True if it gets a line of its own."""
        route = next((route for route, pattern in self._routes.items() if pattern.fullmatch(path)), slo.SERVICE)
        self._metrics.shed("late" if queued > self.limit else "overload", queued, route)
        with self._counting:
            if self._lines < LINES_PER_BEAT:
                self._lines += 1
                return True
            self._without_line += 1
            return False

    def publish(self) -> None:
        """Write one line for all refused requests that got none."""
        with self._counting:
            number, self._without_line, self._lines = self._without_line, 0, 0
        if number:
            _log.warning("requests refused", requests=number, reason="they waited too long for a thread")


def retry_after() -> str:
    """Return the value of a ``Retry-After`` header, in seconds."""
    return str(random.randint(*RETRY_SECONDS))  # noqa: S311 - no secret


def _breadth(rule: str) -> tuple[int, int, int, str]:
    """Return a key that sorts routes about as Flask tries them: those that match fewer paths first."""
    return rule.count("<path:"), rule.count("<"), -rule.count("<int:"), rule


def _pattern(rule: str) -> str:
    """Return a URL rule as a regular expression for paths."""
    pieces, end = [], 0
    for match in _PARAMETER.finditer(rule):
        pieces += [re.escape(rule[end : match.start()]), _CONVERTERS.get(match[1], "[^/]+")]
        end = match.end()
    return "".join(pieces) + re.escape(rule[end:])
