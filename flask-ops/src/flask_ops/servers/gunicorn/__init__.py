"""What is different where Gunicorn runs the application: workers, reloads, stops, systemd."""
