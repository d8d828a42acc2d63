"""The application for uWSGI: ``application = flask_ops.uwsgi.load("yourapp:app")`` in the module that uWSGI loads."""

from flask_ops.servers.uwsgi import load

__all__ = ["load"]
