from __future__ import annotations

import pytest

from tests.testing.user import User


@pytest.fixture
def user(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> User:
    # A user's pytest does not have this project's plugins, which take two thirds of a run's time.
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return User(pytester)
