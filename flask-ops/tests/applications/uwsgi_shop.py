"""The shop application, loaded as by our uWSGI entry point."""

from flask_ops.uwsgi import load

application = load("tests.applications.shop:app")
