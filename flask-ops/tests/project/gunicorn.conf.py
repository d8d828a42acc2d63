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

# A little more than the proxies of deploy/ let pass, which add headers: what is too large is refused there, as a
# problem, and not here, with a page of HTML. A line of 8190 bytes is the most that Gunicorn takes.
limit_request_line = 8190
limit_request_field_size = 8200
limit_request_fields = 128
