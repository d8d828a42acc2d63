"""The module that our uWSGI entry point loads for the shop application."""

from flask_ops.uwsgi import load

application = load("tests.applications.shop:app")
