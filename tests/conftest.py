"""The application under test.

Tests get ``client``, ``log_lines``, ``metrics`` and ``run_check`` from the plugin ``flask_ops.testing``.
"""

from __future__ import annotations

import pytest
from flask import Flask

from service.app import create_app
from service.settings import Settings

pytest_plugins = ["flask_ops.testing"]


@pytest.fixture
def environ() -> dict[str, str]:
    """Return the environment variables of the tests. Add the variables that your settings require."""
    return {"SERVICE_ENV": "testing"}


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    """Return the settings of the application."""
    return Settings.from_environ(environ)


@pytest.fixture
def app(settings: Settings) -> Flask:
    """Return a new application for each test."""
    return create_app(settings)
