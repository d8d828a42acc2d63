"""The integrations with Gunicorn, Waitress and uWSGI. Without them, stops would lose requests."""
