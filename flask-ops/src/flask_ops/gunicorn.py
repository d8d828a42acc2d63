"""Gunicorn's configuration for any WSGI application: ``gunicorn -c python:flask_ops.gunicorn yourapp:app``.

A gunicorn.conf.py may import it, ``from flask_ops.gunicorn import *``, and define hooks of its own below. If one of
them is ``on_starting``, it must call the one from here.
"""

from flask_ops.servers.gunicorn.configuration import configure, on_starting

_settings = configure()
globals().update(_settings)

__all__ = ["on_starting", *_settings]  # noqa: PLE0604 - the names of settings are strings
