"""Gunicorn's configuration. `gunicorn`, without an argument, starts the service."""

from flask_ops import configure

from service.settings import Settings

globals().update(configure(Settings))

wsgi_app = "service.app:create_app()"

# SERVICE_TRUSTED_PROXIES alone sets the number of trusted proxies. Gunicorn itself trusts every client of a Unix
# socket, so these options turn its trust off.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

# These limits are slightly higher than the limits of the proxies in deploy/, because the proxies add headers. So a
# proxy refuses a request that is too large, with a problem document. Gunicorn would send an HTML page. 8190 is the
# longest request line that Gunicorn accepts.
limit_request_line = 8190
limit_request_field_size = 8200
limit_request_fields = 128
