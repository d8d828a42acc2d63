"""``python -m dashboards``: write the dashboards into the package data of ``flask_ops.observability``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import service, services

FOLDER = Path(__file__).parents[1] / "src" / "flask_ops" / "observability" / "assets" / "grafana" / "dashboards"


def made() -> dict[str, str]:
    """Return the text of each dashboard by the name of its file."""
    found = {}
    for module in (service, services):
        board = module.build().build()
        board.schema_version = 39  # as in Grafana 11.0; the library says 36, which Grafana would migrate
        text = json.dumps(board, cls=JSONEncoder, indent=2, ensure_ascii=False, sort_keys=True)
        found[f"{module.__name__.rpartition('.')[2]}.json"] = f"{text}\n"
    return found


if __name__ == "__main__":
    for name, text in made().items():
        (FOLDER / name).write_text(text)
        sys.stdout.write(f"wrote {FOLDER / name}\n")
