"""The workflow for adopters: GitHub accepts it, it has few permissions, and it starts the image as the tests do."""

from __future__ import annotations

import re

import yaml

from flask_ops.core.settings import Settings
from tests.process import BIN, REPOSITORY
from tests.programs import outcome
from tests.repository.deploy.docker import HARDENED

WORKFLOW = REPOSITORY / ".github" / "workflows" / "ci.yml"


def test_actionlint_finds_nothing() -> None:
    assert (0, "") == outcome(BIN / "actionlint", "-no-color", WORKFLOW, cwd=REPOSITORY)


def test_it_may_only_read_and_keeps_no_credentials() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())

    assert {"contents": "read"} == workflow["permissions"]
    for job in workflow["jobs"].values():
        assert "write-all" != job.get("permissions")
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@(v\d[\w.]*|[0-9a-f]{40})", step["uses"]), "a version, not a branch"
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


def test_it_hardens_the_image_as_the_tests_do_and_verifies_it() -> None:
    text, defaults = WORKFLOW.read_text(), Settings.from_environ({})
    assert defaults.management_bind is not None

    assert " ".join(HARDENED) in text
    for address in (defaults.bind, defaults.management_bind):
        assert f"--publish=127.0.0.1:{address.port}:{address.port}" in text
    urls = f"http://127.0.0.1:{defaults.bind.port} --management http://127.0.0.1:{defaults.management_bind.port}"
    assert f"python -m service verify {urls} --wait " in text
    (grace,) = re.findall(r"docker stop --time=(\d+)", text)
    assert int(grace) > defaults.drain_seconds + defaults.graceful_seconds
