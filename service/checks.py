"""The readiness checks of this service. Add yours: a function that returns if all is well and raises if not."""

from __future__ import annotations

from flask_ops import Checks
from flask_ops.checks import log_directory, temporary_directory

CHECKS = Checks()
CHECKS.add()(temporary_directory)
CHECKS.add(critical=False)(log_directory)  # requests are answered all the same
