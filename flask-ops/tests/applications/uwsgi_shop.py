"""The shop as our uWSGI entry point loads it."""

from flask_ops.uwsgi import load

application = load("tests.applications.shop:app")
