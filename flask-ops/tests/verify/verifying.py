"""``python -m service verify``, called in the process of the test."""

from __future__ import annotations

import contextlib
import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.check.checking import Checked
from tests.command import main
from tests.repository.deploy.proxies import NAME


class Verified(Checked):
    """The result of one run of this command."""

    def bad(self) -> list[tuple[str, str]]:
        """Return subject and severity of all errors and warnings."""
        return [(f["subject"], f["severity"]) for f in self.findings if f["severity"] in {"error", "warning"}]


def verify(*arguments: str) -> Verified:
    """Run the command with ``--json``."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["verify", "--json", *arguments])
    # Applications of other tests in this process may write lines meanwhile.
    (line,) = [line for line in out.getvalue().splitlines() if '"findings": [' in line]
    found = json.loads(line)
    assert found["passed"] == (code == 0)
    return Verified(code, line, found["findings"])


def reach(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    """Resolve NAME to this machine, and trust its certificate."""
    look_up = socket.getaddrinfo

    def with_our_name(host: str, *arguments: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if host == NAME else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", with_our_name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
