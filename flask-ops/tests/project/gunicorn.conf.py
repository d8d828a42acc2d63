"""Gunicorn's configuration. `gunicorn`, without an argument, starts the service."""

from flask_ops import configure
from service.settings import Settings

globals().update(configure(Settings))

wsgi_app = "service.app:create_app()"

# The number of trusted proxies is set in one place, SERVICE_TRUSTED_PROXIES. To Gunicorn, every client of a Unix
# socket is a trusted proxy.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

# These are a little more than the limits of the proxies in deploy/, which add headers. The proxy then refuses large
# requests with a problem; Gunicorn would answer with HTML. 8190 bytes is the largest line that Gunicorn accepts.
limit_request_line = 8190
limit_request_field_size = 8200
limit_request_fields = 128
