"""A Flask service for production: health checks, monitoring, one JSON line per request.

This package is always called ``service``. `make name` does not rename the package, its metrics or its settings.
"""

__version__ = "0.1.0"
