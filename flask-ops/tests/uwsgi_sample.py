"""The sample application, loaded as by uWSGI."""

from flask_ops.uwsgi import load
from service.settings import Settings

application = load("tests.sample:create_app()", Settings)
