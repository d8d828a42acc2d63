"""A Flask service for production: health-checked, monitored, one JSON line a request.

This package is called ``service`` whatever name the service has: `make name` leaves it, metrics and settings alone.
"""

__version__ = "0.1.0"
