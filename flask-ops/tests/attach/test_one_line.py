"""``Ops(app)`` attaches an application once, and changes only what you asked for."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_ops import Check, Ops, Settings
from flask_ops.ops.startup import PROCESS
from tests.applications import journal

SETTINGS = Settings.from_environ({"SERVICE_ENV": "testing"})


@pytest.fixture(autouse=True)
def own_runtime() -> Iterator[None]:
    with PROCESS.isolated():
        yield


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setenv("JOURNAL_FOLDER", str(tmp_path))
    return journal.create_app()


def state(app: Flask) -> dict[str, Any]:
    kept = {name: value for name, value in vars(app).items() if name not in {"wsgi_app", "extensions"}}
    kept["rules"] = [repr(rule) for rule in kept.pop("url_map").iter_rules()]
    # Copy the containers that can change in place. Their contents stay the same.
    return {name: copy.copy(value) if isinstance(value, (dict, list)) else value for name, value in kept.items()}


@pytest.mark.parametrize("late", [False, True])
def test_nothing_changes_but_the_extension_and_the_middleware(app: Flask, late: bool) -> None:
    before = state(app)

    if late:
        ops = Ops(settings=SETTINGS)
        ops.init_app(app)
    else:
        Ops(app, SETTINGS)

    assert before == state(app)
    assert {"flask_ops"} == set(app.extensions)
    assert journal.SECRET_KEY == app.secret_key
    assert app.config["MAX_CONTENT_LENGTH"] is None


def test_an_application_cannot_be_attached_twice(app: Flask) -> None:
    ops = Ops(app, SETTINGS)

    for attach in (lambda: ops.init_app(app), lambda: Ops(app, SETTINGS)):
        with pytest.raises(RuntimeError, match=r"application '.*journal' is attached already: call Ops\(app\)"):
            attach()


def test_an_application_whose_checks_are_refused_is_not_attached(app: Flask) -> None:
    twice = [Check("same", lambda: None), Check("same", lambda: None)]
    before, middleware = state(app), app.wsgi_app

    with pytest.raises(ValueError, match="same"):
        Ops(app, SETTINGS, checks=twice)

    assert before == state(app)
    assert {} == app.extensions
    assert middleware == app.wsgi_app
    Ops(app, SETTINGS)


def test_one_extension_attaches_several_applications(app: Flask) -> None:
    other = Flask("other")
    ops = Ops(settings=SETTINGS, checks=iter([Check("a", lambda: None)]))
    ops.init_app(app)
    ops.init_app(other)

    names = [{check.name for check in each.extensions["flask_ops"].health.checks} for each in (app, other)]
    assert [{"a"}, {"a"}] == names
