"""The module that uWSGI loads for the noisy application."""

from flask_ops.uwsgi import load
from service.settings import Settings

application = load("tests.log.noise:create_app()", Settings)
