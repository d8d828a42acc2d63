"""Gunicorn's configuration for any WSGI application: ``gunicorn -c python:flask_ops.gunicorn yourapp:app``.

A gunicorn.conf.py may import it, ``from flask_ops.gunicorn import *``, and define hooks of its own below. If one of them
is ``on_starting``, it must call the one from here.
"""

from flask_ops.servers.gunicorn.configuration import configure as _configure
from flask_ops.servers.gunicorn.configuration import on_starting as on_starting

globals().update(_configure())
