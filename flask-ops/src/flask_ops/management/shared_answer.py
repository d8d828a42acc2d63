"""One scrape for all clients that wait at the same time."""

from __future__ import annotations

import time

from flask_ops.core.http import Handler, Request, Response


class SharedAnswer:
    """One answer for all equal requests that had arrived when ``handler`` began.

    Without it, each client that asks for metrics and then leaves would delay the next scrape by one scrape.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._asked: tuple[str | None, ...] = ()
        self._began = 0.0
        self._answer: Response | None = None

    def __call__(self, request: Request) -> Response:
        """Return an answer that ``handler`` began after the arrival of ``request``."""
        asked = (request.query, request.headers.get("accept"), request.headers.get("accept-encoding"))
        if self._answer is None or self._asked != asked or self._began < request.received:
            began = time.monotonic()
            answer = self._handler(request)  # if it raises, no later request may get the answer of before
            self._asked, self._began, self._answer = asked, began, answer
        return self._answer
