"""Settings of a user: a class that derives from ``flask_ops.Settings``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from flask import Flask

import flask_ops
from flask_ops import Ops, setting
from flask_ops.core.settings import documentation, unknown_variables
from flask_ops.settings import SettingsError, integer, text
from tests.process import BIN, DEADLINE, running, started, wait_until

DATABASE = text(r"[a-z]+://.+", "an address such as postgresql://host/name")


class Settings(flask_ops.Settings, name="orders", version="1.2.0"):
    database: str = setting("SERVICE_DATABASE", DATABASE, help="The database.", secret=True)
    batch: int = setting("ORDERS_BATCH", integer(1, 100), default=10, help="Orders in a batch.")
    queue: str = setting(
        "SERVICE_QUEUE", DATABASE, default="amqp://here", help="The queue.", fallback=("SERVICE_BROKER", DATABASE)
    )


class OtherSettings(flask_ops.Settings):
    pass


def settings(**environ: str) -> Settings:
    return Settings.from_environ({"SERVICE_DATABASE": "postgresql://db/orders", **environ})


def problems_of(environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environ(environ)
    return raised.value.problems


def test_own_settings_are_read_beside_those_of_the_library() -> None:
    """The environment overrides the defaults of the class for name and version. Other classes keep their own."""
    read = settings(ORDERS_BATCH="25", SERVICE_THREADS="8", SERVICE_BROKER="amqp://broker", SERVICE_NAME="shop")

    assert ("postgresql://db/orders", 25, "amqp://broker", 8) == (read.database, read.batch, read.queue, read.threads)
    assert ("shop", "1.2.0") == (read.name, read.version)
    assert (10, "orders", "2") == (settings().batch, settings().name, settings(SERVICE_VERSION="2").version)
    assert "service" == OtherSettings.from_environ({}).name


def test_a_class_that_derives_from_an_own_one_keeps_its_defaults_and_fields() -> None:
    class Special(Settings, version="1.2.0-special"):
        extra: int = setting("SERVICE_EXTRA", integer(0, 9), default=1, help="More.")

    read = Special.from_environ({"SERVICE_DATABASE": "sqlite://file"})

    assert ("orders", "1.2.0-special", 10, 1) == (read.name, read.version, read.batch, read.extra)


def test_an_own_class_may_change_the_default_of_a_setting_of_the_library() -> None:
    class Small(flask_ops.Settings):
        threads: int = setting("SERVICE_THREADS", integer(1, 1000), default=1, help="Threads in each worker.")

    assert 1 == Small.from_environ({}).threads
    assert 4 == OtherSettings.from_environ({}).threads


def test_a_required_setting_that_is_missing_is_named_with_what_was_expected() -> None:
    expected = "SERVICE_DATABASE is not set, expected an address such as postgresql://host/name"

    assert [expected] == problems_of({})
    assert [expected] == problems_of({"SERVICE_DATABASE": " "})


def test_all_problems_are_named_at_once_and_no_secret_is_shown() -> None:
    expected = [
        "SERVICE_THREADS is '0', expected a whole number from 1 to 1000",
        "SERVICE_DATABASE is (not shown), expected an address such as postgresql://host/name",
        "ORDERS_BATCH is '101', expected a whole number from 1 to 100",
    ]

    assert expected == problems_of({"SERVICE_DATABASE": "hunter2", "ORDERS_BATCH": "101", "SERVICE_THREADS": "0"})
    assert "orders" not in repr(settings()).partition("name=")[0]
    assert "postgresql" not in repr(settings())


def test_a_failing_parser_does_not_hide_a_missing_setting() -> None:
    class Broken(flask_ops.Settings):
        first: str = setting("SERVICE_FIRST", lambda value: value[0], help="Its first letter.")

    with pytest.raises(SettingsError) as raised:
        Broken.from_environ({})

    assert ["SERVICE_FIRST is not set, expected a value"] == raised.value.problems


def test_variables_of_own_settings_are_known() -> None:
    """This includes fallback variables."""
    environ = dict.fromkeys(["SERVICE_DATABASE", "SERVICE_QUEUE", "SERVICE_BROKER", "SERVICE_THREADS"], "1")

    assert {} == unknown_variables(environ, Settings)
    assert {"SERVICE_DATABSE": "SERVICE_DATABASE"} == unknown_variables({"SERVICE_DATABSE": "1"}, Settings)
    assert {"SERVICE_DATABASE": None} == unknown_variables({"SERVICE_DATABASE": "1"}, OtherSettings)


def test_the_documentation_has_own_settings_and_defaults() -> None:
    documented = {name: (default, about) for name, default, about in documentation(Settings)}

    assert ("required", "The database.") == documented["SERVICE_DATABASE"]
    assert ("`10`", "Orders in a batch.") == documented["ORDERS_BATCH"]
    assert "`orders`" == documented["SERVICE_NAME"][0]


def test_a_field_without_a_declaration_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Plain\.database is not declared with setting\(\.\.\.\)$"):

        class Plain(flask_ops.Settings):
            database: str = "sqlite"

    with pytest.raises(TypeError, match=r"^Bare\.database is not declared with setting\(\.\.\.\)$"):

        class Bare(flask_ops.Settings):
            database: str

    with pytest.raises(TypeError, match=r"'database' is a field but has no type annotation"):

        class Untyped(flask_ops.Settings):
            database = setting("SERVICE_DATABASE", DATABASE, help="The database.")


def test_two_fields_that_read_one_variable_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^Twice\.threads_too reads SERVICE_THREADS, as threads does$"):

        class Twice(flask_ops.Settings):
            threads_too: int = setting("SERVICE_THREADS", integer(1, 9), default=1, help="Threads.")


def test_a_default_that_the_variable_could_not_have_is_refused() -> None:
    for field, default in [("name", "my orders"), ("version", "")]:
        with pytest.raises(ValueError, match=f"^Wrong: {field} is '{default}', expected 1 to 6[34] letters"):
            type("Wrong", (flask_ops.Settings,), {}, **{field: default})


def test_the_settings_of_the_application_are_found_in_views() -> None:
    app, other = Flask("one"), Flask("other")
    Ops(app, settings())
    Ops(other, settings(ORDERS_BATCH="99"))
    app.add_url_rule("/", "index", lambda: str(Settings.current().batch))
    other.add_url_rule("/", "index", lambda: str(Settings.current().batch))

    assert "10" == app.test_client().get("/").text
    assert "99" == other.test_client().get("/").text


def test_where_there_are_no_settings_or_others_the_error_says_so() -> None:
    with pytest.raises(RuntimeError, match="Working outside of application context"):
        Settings.current()
    bare, other = Flask("bare"), Flask("other")
    with bare.app_context(), pytest.raises(RuntimeError, match=r"has no settings\. Call flask_ops\.Ops\(app\) in"):
        Settings.current()
    Ops(other, OtherSettings.from_environ({}))
    expected = (
        r"^The settings of this application are tests\.core\.test_own_settings\.OtherSettings, "
        r"not tests\.core\.test_own_settings\.Settings\. Pass that class to Ops and to configure\(\)\.$"
    )
    with other.app_context(), pytest.raises(TypeError, match=expected):
        Settings.current()
    with other.app_context():
        assert isinstance(flask_ops.Settings.current(), OtherSettings)


OWN = """
import flask_ops
from flask import Flask, Response, jsonify
from flask_ops import Ops, setting
from flask_ops.settings import integer, text


class Settings(flask_ops.Settings, name="orders", version="1.2.0"):
    database: str = setting("SERVICE_DATABASE", text(r"[a-z]+://.+", "an address"), help="The database.")
    batch: int = setting("SERVICE_BATCH", integer(1, 100), default=10, help="Orders in a batch.")


def create_app() -> Flask:
    app = Flask("own")
    Ops(app, Settings, probes=True)

    @app.get("/")
    def index() -> Response:
        settings = Settings.current()
        return jsonify(database=settings.database, batch=settings.batch, name=settings.name)

    return app
"""
CONFIGURATION = """
from flask_ops import configure
from own import Settings

globals().update(configure(Settings))

wsgi_app = "own:create_app()"
"""
BIND = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "1"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "gunicorn.conf.py").write_text(CONFIGURATION)
    return tmp_path


def test_gunicorn_does_not_start_without_a_required_setting(project: Path) -> None:
    """One line names every problem. Exit code 78 tells a supervisor not to restart."""
    with started([BIN / "gunicorn"], project, {**BIND, "SERVICE_BATCH": "many"}, cwd=project) as server:
        assert 78 == server.process.wait(DEADLINE)
        line = server.line("settings cannot be used")

    assert ("critical", "orders") == (line["level"], line["service"])
    assert [
        "SERVICE_DATABASE is not set, expected an address",
        "SERVICE_BATCH is 'many', expected a whole number from 1 to 100",
    ] == line["problems"]


@pytest.mark.system
def test_gunicorn_serves_with_own_settings(project: Path) -> None:
    """Only the misspelt variable causes a warning."""
    env = {**BIND, "SERVICE_DATABASE": "sqlite://file", "SERVICE_BATCH": "7", "SERVICE_BATCHES": "8"}
    with running([BIN / "gunicorn"], project, env, cwd=project) as server:
        expected = {"database": "sqlite://file", "batch": 7, "name": "orders"}
        assert expected == server.get("/").json()
        line = server.line("unknown variable")
        wait_until(lambda: server.lines("request", route="/"), "the line of the request")

    assert ("SERVICE_BATCHES", "SERVICE_BATCH") == (line["variable"], line["did_you_mean"])


@pytest.mark.system
def test_own_settings_are_typed(tmp_path: Path) -> None:
    """Views and tests that create settings are checked. A mistake in a declaration is an error, too."""
    (tmp_path / "own.py").write_text(
        OWN
        + """
reveal_type(Settings.current().database)
reveal_type(Settings.from_environ({}).batch)
reveal_type(Settings.current().threads)
Settings.current().batch = 8
Settings.current().no_such_setting
"""
    )

    checked = subprocess.run(
        [BIN / "python", "-m", "mypy", "--strict", "--output=json", "--cache-dir", tmp_path / "cache", "own.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = [json.loads(line)["message"] for line in checked.stdout.splitlines()]

    expected = [
        'Revealed type is "str"',
        'Revealed type is "int"',
        'Revealed type is "int"',
        'Property "batch" defined in "Settings" is read-only',
        '"Settings" has no attribute "no_such_setting"',
    ]
    assert expected == [message.replace("builtins.", "") for message in said], checked.stderr
