"""The environment of every test."""

from __future__ import annotations

import signal

# Background jobs and many CI runners ignore SIGINT, and programs inherit that: Ctrl-C would not end the servers.
signal.signal(signal.SIGINT, signal.default_int_handler)
