from __future__ import annotations

import pytest

from tests.testing.user import User


@pytest.fixture
def user(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> User:
    # The plugins of this project's pytest are not the user's, and take two thirds of the time of such a run.
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return User(pytester)
