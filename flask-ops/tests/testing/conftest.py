from __future__ import annotations

import pytest

from tests.testing.user import User


@pytest.fixture
def user(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> User:
    # Else the plugins of this project's pytest would be those of the user's.
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return User(pytester)
