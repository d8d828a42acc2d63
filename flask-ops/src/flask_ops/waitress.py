"""Waitress with a graceful stop and the management address: ``flask_ops.waitress.serve(app)``."""

from flask_ops.servers.waitress import serve

__all__ = ["serve"]
