"""A Flask service for production: health checks, monitoring, one JSON line per request."""

__version__ = "0.1.0"
