"""What is in `observability/` is valid, by the programs that read it."""

from __future__ import annotations

import subprocess

from service.settings import Settings
from tests.process import ROOT
from tests.programs import require

CONFIG = ROOT / "observability" / "prometheus.yml"


def test_promtool_accepts_the_configuration() -> None:
    checked = subprocess.run(
        [require("promtool"), "check", "config", CONFIG], capture_output=True, text=True, check=False
    )

    assert 0 == checked.returncode, checked.stdout + checked.stderr


def test_it_scrapes_the_default_management_address() -> None:
    assert f'"{Settings.from_environ({}).management_bind}"' in CONFIG.read_text()
