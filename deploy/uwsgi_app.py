"""The application for uWSGI, loaded by uwsgi.ini."""

from flask_ops.uwsgi import load

from service.settings import Settings

application = load("service.app:create_app()", Settings)
