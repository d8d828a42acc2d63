"""`verify --wait`, which a pipeline can run right after a start."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_ops.cli.verify import counting
from tests.ports import free_port
from tests.process import started
from tests.servers import COMMANDS
from tests.verify.impostor import Change, Reply, impostor
from tests.verify.verifying import verify

pytestmark = pytest.mark.system


def first(count: int, status: int) -> Change:
    """Answer the first ``count`` requests with ``status``, and all others as the service does."""
    left = iter(range(count))

    def change(reply: Reply) -> None:
        if next(left, None) is not None:
            reply.problem(status)

    return change


def test_a_service_that_is_just_being_started_passes(tmp_path: Path) -> None:
    port, management = free_port(), free_port()
    addresses = {"SERVICE_BIND": f"127.0.0.1:{port}", "SERVICE_MANAGEMENT_BIND": f"127.0.0.1:{management}"}
    with started(COMMANDS["gunicorn"], tmp_path, addresses):
        found = verify(f"http://127.0.0.1:{port}", f"--management=http://127.0.0.1:{management}", "--wait=20")

    assert (0, [("exposed", "warning")]) == (found.code, found.bad())
    assert ["They count exactly the 10 requests made here."] == found.texts("metrics", "ok")


def test_it_waits_behind_a_proxy_and_until_every_address_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "SECONDS", 0.0)  # the second server counts nothing
    for status in (502, 503, 504):
        with impostor({"/readyz": first(2, status)}) as server, impostor({"/readyz": first(2, status)}) as other:
            verify(server.url, f"--management={other.url}", "--wait=20")

            assert ["/readyz"] * 3 == server.asked[:3] == other.asked[:3]


def test_what_will_not_get_better_is_not_waited_for() -> None:
    with impostor({"/readyz": lambda reply: reply.problem(404)}) as server:
        found = verify(server.url, "--wait=3600")

    assert found.texts("/readyz", "error")[0].startswith("It answers 404 Not Found")


def test_when_the_time_is_over_it_says_what_is_missing() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    gone = verify(url, "--wait=0.3")
    with impostor({"/readyz": lambda reply: reply.problem(503)}) as server:
        down = verify(server.url, "--wait=0.3")

    assert 1 == gone.code == down.code
    assert [f"{url} cannot be reached within 0.3 s: connection refused."] == gone.texts("/", "error")
    assert down.texts("/readyz", "error")[0].startswith("It answers 503 Service Unavailable")
    assert down.texts("/", "ok"), "all else is asked"
