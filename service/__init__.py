"""A Flask service for production: health-checked, monitored, one JSON line a request."""

__version__ = "0.1.0"
