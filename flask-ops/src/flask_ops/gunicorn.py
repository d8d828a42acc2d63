"""Gunicorn's configuration for any WSGI application: ``gunicorn -c python:flask_ops.gunicorn yourapp:app``.

A gunicorn.conf.py may import it, ``from flask_ops.gunicorn import *``, and define its own hooks below. Its own
``on_starting`` must call the imported one.
"""

from flask_ops.servers.gunicorn.configuration import configure, on_starting

_settings = configure()
globals().update(_settings)

__all__ = ["on_starting", *_settings]  # noqa: PLE0604 - the names of settings are strings
