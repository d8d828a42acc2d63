"""The settings of the repository's own service, which an adopter extends. Tests import another `service`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping

from tests.process import BIN, REPOSITORY, clean_environ

_SCRIPT = """
import json, os
from flask_ops.core.settings import SettingsError, unknown_variables
from service.settings import Settings

try:
    Settings.from_environ(os.environ)
    error = ""
except SettingsError as invalid:
    error = str(invalid)
print(json.dumps({"unknown": sorted(unknown_variables(os.environ, Settings)), "error": error}))
"""


def complaints(environ: Mapping[str, str]) -> dict[str, object]:
    """Return the variables unknown to the service, and the error that stops its start."""
    done = subprocess.run(
        [BIN / "python", "-c", _SCRIPT],
        cwd=REPOSITORY,
        env={**clean_environ(), "PYTHONPATH": "", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found
