"""What is different where uWSGI runs the application."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from service import store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def in_each_worker(start: Callable[[], None]) -> None:
    """Call ``start`` now or, where uWSGI has loaded the application to fork it, in each worker.

    Threads do not survive a fork.
    """
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        start()
        return
    earlier = getattr(uwsgi, "post_fork_hook", None)

    def hook() -> None:
        if earlier is not None:
            earlier()
        # A worker that takes the place of another one has its number, and goes on with its files.
        store.prepare(uwsgi.worker_id())
        store.identify(str(uwsgi.worker_id()))
        start()

    if uwsgi.worker_id() > 0:  # with lazy-apps, each worker loads the application itself
        hook()
        return

    uwsgi.post_fork_hook = hook  # type: ignore[attr-defined] # made by uWSGI, in C


def believe_no_client(app: WSGIApplication) -> WSGIApplication:
    """Undo that uWSGI takes the scheme from ``X-Forwarded-Proto``, which any client can send."""
    if "uwsgi" not in sys.modules:
        return app

    def with_own_scheme(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.url_scheme"] = "https" if environ.get("HTTPS") in {"on", "1"} else "http"
        return app(environ, start_response)

    return with_own_scheme
