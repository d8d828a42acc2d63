"""The repository's files in `observability/`, which an adopter may have changed, read for tests."""

from __future__ import annotations

from typing import Any

import yaml

from tests.process import REPOSITORY

OBSERVABILITY = REPOSITORY / "observability"


def alerts() -> dict[str, dict[str, Any]]:
    """Return every alert by its name."""
    files = [yaml.safe_load(path.read_text()) for path in sorted((OBSERVABILITY / "rules").glob("*.yml"))]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}
