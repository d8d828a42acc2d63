"""Tests of the readiness checks. To test a check, make its dependency fail: here the disk."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient
from flask_ops.testing import RunCheck


@pytest.fixture
def _full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=0))


def test_the_temporary_directory_is_fine(run_check: RunCheck) -> None:
    assert "ok" == run_check("temporary_directory").status


@pytest.mark.usefixtures("_full_disk")
def test_a_full_disk_is_found(run_check: RunCheck) -> None:
    result = run_check("temporary_directory")

    assert ("down", "OSError") == (result.status, result.reason)


@pytest.mark.usefixtures("_full_disk")
def test_the_service_is_not_ready_while_the_disk_is_full(client: FlaskClient) -> None:
    assert 503 == client.get("/readyz").status_code
