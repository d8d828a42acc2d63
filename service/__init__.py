"""A Flask service for production: health-checked, monitored, one JSON line a request."""

import sys

from service import interruption, standard_descriptors

__version__ = "0.1.0"

standard_descriptors.open_closed()
if interruption.is_server():
    interruption.expect()

if "uwsgi" in sys.modules:
    # uWSGI loads the application before it forks and has no earlier moment to offer: the store
    # has to be there before anything imports prometheus_client. Gunicorn's is in gunicorn.conf.py.
    from service import logs, startup

    logs.take_printed_lines(startup.start())
    startup.open_store()
elif "waitress.runner" in sys.modules:
    # waitress-serve prints why it cannot load an application.
    from service import logs, startup

    logs.take_printed_lines(startup.start())
    startup.open_store(if_chosen=True)  # before any metric is made
