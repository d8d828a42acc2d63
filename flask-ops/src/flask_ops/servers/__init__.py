"""The servers: Gunicorn, Waitress, uWSGI."""
