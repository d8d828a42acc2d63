"""Tests of the settings. They read a mapping, so they need no environment variables."""

from __future__ import annotations

import pytest
from flask import Flask
from flask_ops.settings import SettingsError

from service import __version__
from service.settings import Settings


def test_a_variable_is_read_into_its_setting(environ: dict[str, str]) -> None:
    assert "shop" == Settings.from_environ({**environ, "SERVICE_NAME": "shop"}).name


def test_the_version_is_the_one_of_the_package(environ: dict[str, str]) -> None:
    assert __version__ == Settings.from_environ(environ).version


def test_an_invalid_value_is_refused_with_what_was_expected(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environ({**environ, "SERVICE_THREADS": "many"})

    assert ["SERVICE_THREADS is 'many', expected a whole number from 1 to 1000"] == raised.value.problems


def test_views_read_the_settings_of_their_application(app: Flask, settings: Settings) -> None:
    with app.app_context():
        assert settings is Settings.current()
