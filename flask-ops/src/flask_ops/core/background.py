"""A switch that tests set. Otherwise the checks of an application would run beside its test."""

import threading

FORBIDDEN = threading.Event()
"""While it is set, this process starts no background threads."""
