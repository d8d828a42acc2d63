"""The integration with Gunicorn. Without it, stops, reloads and stuck workers would lose requests."""
