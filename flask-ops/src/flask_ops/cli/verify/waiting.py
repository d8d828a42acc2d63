"""The wait for a service that has just started: ``--wait``."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from flask_ops.cli.verify.client import Client, NoAnswerError, OutOfTimeError
from flask_ops.cli.verify.target import Target
from flask_ops.web.probes import READINESS

_NOT_YET = {502, 503, 504}
"""Answers of a proxy without a backend, and of a service that is not ready."""
_PAUSE = 0.25
"""Seconds from one answer to the next request."""


def until_ready(targets: Iterable[Target], *, seconds: float, timeout: float) -> None:
    """Wait until each target is ready, at most ``seconds`` in total.

    Any answer but 502, 503 and 504 ends the wait: the findings report its faults. ``timeout`` limits one request.
    """
    deadline = time.monotonic() + seconds
    for target in targets:
        client = Client(target, timeout=timeout, deadline=deadline)
        with suppress(OutOfTimeError):
            client.wait(partial(_is_there, client), seconds, pause=_PAUSE)


def _is_there(client: Client) -> bool:
    try:
        return client.get(READINESS).status not in _NOT_YET
    except NoAnswerError:
        return False
