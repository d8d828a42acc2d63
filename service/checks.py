"""The readiness checks of this service. Add your own functions: each raises an exception if its check fails."""

from __future__ import annotations

from flask_ops import Checks
from flask_ops.checks import log_directory, temporary_directory

CHECKS = Checks()
CHECKS.add()(temporary_directory)
CHECKS.add(critical=False)(log_directory)  # the service still answers requests without its log
