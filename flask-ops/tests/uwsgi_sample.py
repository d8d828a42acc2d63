"""The module that uWSGI loads for the sample application."""

from flask_ops.uwsgi import load
from service.settings import Settings

application = load("tests.sample:create_app()", Settings)
