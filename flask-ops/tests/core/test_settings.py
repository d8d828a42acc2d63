from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from flask_ops.core.address import Address
from flask_ops.core.cgroup import usable_cpus
from flask_ops.core.settings import (
    LogFormat,
    LogLevel,
    Mode,
    Settings,
    SettingsError,
    documentation,
    management_token,
    unknown_variables,
)

SECRET = "correct horse battery"


def problems_of(environ: Mapping[str, str], default_mode: Mode = Mode.PRODUCTION) -> list[str]:
    """Return the problems of this environment."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environ(environ, default_mode=default_mode)
    return raised.value.problems


def test_an_empty_environment_gives_the_defaults() -> None:
    """The service starts in production without any variable."""
    expected = replace(
        Settings.from_environ({}),
        mode=Mode.PRODUCTION,
        version="0.0.0",
        bind=Address("127.0.0.1", 8000),
        workers=max(2, usable_cpus()),
        threads=4,
        drain_seconds=5.0,
        graceful_seconds=30.0,
        management_bind=Address("127.0.0.1", 8001),
        management_hosts=(),
        management_token=None,
        management_token_reads=False,
        request_timeout=30.0,
        metrics_on_app=True,
        log_level=LogLevel.INFO,
        log_format=LogFormat.JSON,
        log_max_line_bytes=65536,
        log_buffer_bytes=2**20,
        log_mask=(),
        log_query=False,
        log_samples={},
        log_slow_seconds=1.0,
        max_body_bytes=1024 * 1024,
        trusted_proxies=0,
        trusted_host_proxies=0,
        secret_key=None,
    )

    assert expected == Settings.from_environ({})


def test_each_variable_is_read_into_its_setting() -> None:
    """Surrounding whitespace is ignored."""
    expected = replace(
        Settings.from_environ({}),
        mode=Mode.TESTING,
        name="shop-1.eu",
        version="1.2.3+abc",
        bind=Address("::", 80),
        workers=3,
        threads=5,
        drain_seconds=2.5,
        graceful_seconds=1.5,
        management_bind=None,
        management_hosts=("service", "*.internal"),
        management_token=SECRET.replace(" ", "-"),
        management_token_reads=True,
        request_timeout=2.5,
        metrics_on_app=False,
        log_level=LogLevel.WARNING,
        log_format=LogFormat.CONSOLE,
        log_max_line_bytes=2048,
        log_buffer_bytes=2**16,
        log_mask=("iban", "ssn"),
        log_query=True,
        log_samples={"/": 0.1, "*": 0.5},
        log_slow_seconds=0.5,
        max_body_bytes=0,
        trusted_proxies=2,
        trusted_host_proxies=1,
        secret_key=SECRET,
    )
    environ = {
        "SERVICE_ENV": "testing",
        "SERVICE_NAME": " shop-1.eu ",
        "SERVICE_VERSION": "1.2.3+abc",
        "SERVICE_BIND": "[::]:80",
        "WEB_CONCURRENCY": "3",
        "SERVICE_THREADS": "5\n",
        "SERVICE_DRAIN_SECONDS": "2.5",
        "SERVICE_GRACEFUL_SECONDS": "1.5",
        "SERVICE_MANAGEMENT_BIND": "",
        "SERVICE_MANAGEMENT_HOSTS": "Service, *.internal",
        "SERVICE_MANAGEMENT_TOKEN": SECRET.replace(" ", "-"),
        "SERVICE_MANAGEMENT_TOKEN_READS": "yes",
        "SERVICE_REQUEST_TIMEOUT": "2.5",
        "SERVICE_METRICS_ON_APP": "off",
        "SERVICE_LOG_LEVEL": "WARNING",
        "SERVICE_LOG_FORMAT": "console",
        "SERVICE_LOG_MAX_LINE_BYTES": "2048",
        "SERVICE_LOG_BUFFER_BYTES": "65536",
        "SERVICE_LOG_MASK": "iban, ssn",
        "SERVICE_LOG_QUERY": "true",
        "SERVICE_LOG_SAMPLES": "/=0.1 *=0.5",
        "SERVICE_LOG_SLOW_SECONDS": "0.5",
        "SERVICE_MAX_BODY_BYTES": "0",
        "SERVICE_TRUSTED_PROXIES": "2",
        "SERVICE_TRUSTED_HOST_PROXIES": "1",
        "SERVICE_SECRET_KEY": SECRET,
    }

    assert expected == Settings.from_environ(environ)


def test_an_empty_variable_counts_as_not_set() -> None:
    """Compose files and CI pass empty variables on. They count as not set, unless empty has a meaning."""
    names = [name for name, _, _ in documentation() if name != "SERVICE_MANAGEMENT_BIND"]
    for value in ("", " ", "\t\n"):
        environ = dict.fromkeys([*names, "FLASK_ENV", "PORT"], value)
        assert Settings.from_environ({}) == Settings.from_environ(environ)


def test_flask_env_counts_only_without_service_env() -> None:
    """`FLASK_ENV` is read if `SERVICE_ENV` is not set. If neither is set, the caller's default counts."""
    cases: list[tuple[dict[str, str], Mode, Mode]] = [
        ({}, Mode.PRODUCTION, Mode.PRODUCTION),
        ({}, Mode.DEVELOPMENT, Mode.DEVELOPMENT),
        ({"SERVICE_ENV": "production"}, Mode.DEVELOPMENT, Mode.PRODUCTION),
        ({"SERVICE_ENV": "Development"}, Mode.PRODUCTION, Mode.DEVELOPMENT),
        ({"FLASK_ENV": "development"}, Mode.PRODUCTION, Mode.DEVELOPMENT),
        ({"FLASK_ENV": "production"}, Mode.DEVELOPMENT, Mode.PRODUCTION),
        ({"SERVICE_ENV": "", "FLASK_ENV": "testing"}, Mode.PRODUCTION, Mode.TESTING),
        ({"SERVICE_ENV": "testing", "FLASK_ENV": "development"}, Mode.PRODUCTION, Mode.TESTING),
        ({"SERVICE_ENV": "production", "FLASK_ENV": "nonsense"}, Mode.PRODUCTION, Mode.PRODUCTION),
    ]
    for environ, default, expected in cases:
        assert expected is Settings.from_environ(environ, default_mode=default).mode, environ


def test_where_the_service_listens() -> None:
    """`SERVICE_BIND` overrides `PORT`. In development, other machines cannot reach the default address."""
    cases: list[tuple[dict[str, str], str]] = [
        ({}, "127.0.0.1:8000"),
        ({"SERVICE_ENV": "testing"}, "127.0.0.1:8000"),
        ({"SERVICE_ENV": "development"}, "127.0.0.1:5000"),
        ({"PORT": "9000"}, "0.0.0.0:9000"),
        ({"PORT": "9000", "SERVICE_ENV": "development"}, "127.0.0.1:9000"),
        ({"PORT": "9000", "SERVICE_BIND": ""}, "0.0.0.0:9000"),
        ({"PORT": "9000", "SERVICE_BIND": "127.0.0.2:7000"}, "127.0.0.2:7000"),
        ({"PORT": "nonsense", "SERVICE_BIND": "127.0.0.2:7000"}, "127.0.0.2:7000"),
        ({"SERVICE_BIND": "0.0.0.0:7000"}, "0.0.0.0:7000"),
        ({"SERVICE_BIND": "127.0.0.2:0", "SERVICE_ENV": "development"}, "127.0.0.2:0"),
        ({"SERVICE_BIND": "[::1]:7000", "SERVICE_ENV": "development"}, "[::1]:7000"),
        ({"SERVICE_BIND": "unix:/run/s.sock", "SERVICE_ENV": "development"}, "unix:/run/s.sock"),
    ]
    for environ, expected in cases:
        assert expected == str(Settings.from_environ(environ).bind), environ


def test_development_refuses_an_address_that_others_can_reach() -> None:
    """The debugger runs code for every client, so an explicit address must be loopback."""
    for name, bind in [("SERVICE_ENV", "0.0.0.0:5000"), ("FLASK_ENV", "[::]:5000"), ("SERVICE_ENV", "example.org:80")]:
        (problem,) = problems_of({name: "development", "SERVICE_BIND": bind})
        assert problem.startswith(f"SERVICE_BIND is '{bind}', expected a loopback address in development")


def test_every_wrong_variable_is_named_at_once() -> None:
    """One start shows every problem: name, value and expected form."""
    environ = {
        "SERVICE_ENV": "staging",
        "SERVICE_NAME": "9 lives",
        "SERVICE_VERSION": "one two",
        "SERVICE_BIND": "8000",
        "WEB_CONCURRENCY": "0",
        "SERVICE_THREADS": "many",
        "SERVICE_DRAIN_SECONDS": "soon",
        "SERVICE_GRACEFUL_SECONDS": "-1",
        "SERVICE_MANAGEMENT_HOSTS": "service:8001",
        "SERVICE_MANAGEMENT_TOKEN": SECRET,
        "SERVICE_LOG_LEVEL": "loud",
        "SERVICE_LOG_FORMAT": "xml",
        "SERVICE_MAX_BODY_BYTES": "1.5",
        "SERVICE_TRUSTED_PROXIES": "11",
        "SERVICE_TRUSTED_HOST_PROXIES": "all",
        "SERVICE_SECRET_KEY": "short",
    }
    expected = [
        "SERVICE_ENV is 'staging', expected one of development, testing, production",
        "SERVICE_NAME is '9 lives', expected 1 to 63 letters, digits, '.', '_' or '-', a letter first",
        "SERVICE_VERSION is 'one two', expected 1 to 64 letters, digits, '.', '_', '+' or '-'",
        "SERVICE_BIND is '8000', expected host:port, [ipv6]:port or unix:/path",
        "WEB_CONCURRENCY is '0', expected a whole number from 1 to 1000",
        "SERVICE_THREADS is 'many', expected a whole number from 1 to 1000",
        "SERVICE_DRAIN_SECONDS is 'soon', expected seconds, from 0 to 3600",
        "SERVICE_GRACEFUL_SECONDS is '-1', expected seconds, from 0 to 3600",
        "SERVICE_MANAGEMENT_HOSTS is 'service:8001', expected host names without a port, such as service or "
        "*.example.internal, with commas between them",
        "SERVICE_MANAGEMENT_TOKEN is (not shown), expected at least 16 letters, digits or characters of -._~+/",
        "SERVICE_LOG_LEVEL is 'loud', expected one of debug, info, warning, error, critical",
        "SERVICE_LOG_FORMAT is 'xml', expected one of json, console, ecs",
        "SERVICE_MAX_BODY_BYTES is '1.5', expected a whole number from 0 to 1099511627776",
        "SERVICE_TRUSTED_PROXIES is '11', expected a whole number from 0 to 10",
        "SERVICE_TRUSTED_HOST_PROXIES is 'all', expected a whole number from 0 to 10",
        "SERVICE_SECRET_KEY is (not shown), expected at least 16 characters",
    ]

    assert expected == problems_of(environ)


def test_a_token_is_read_from_a_file(tmp_path: Path) -> None:
    """The variable with the token counts before the one with the file, as for other stand-ins."""
    file, secret = tmp_path / "token", SECRET.replace(" ", "-")
    environ = {"SERVICE_MANAGEMENT_TOKEN_FILE": str(file), "SERVICE_MANAGEMENT_TOKEN_READS": "true"}
    for content, problem in [
        (None, "expected the path of a readable file (No such file or directory)"),
        (b"\xff", "expected the path of a readable file ("),
        (b"", "expected a file that holds at least 16 letters"),
        (SECRET.encode(), "expected a file that holds at least 16 letters"),
    ]:
        if content is not None:
            file.write_bytes(content)
        (found,) = problems_of(environ)
        assert found.startswith(f"SERVICE_MANAGEMENT_TOKEN_FILE is (not shown), {problem}")
    file.write_text(f"{secret}\n")
    assert secret == Settings.from_environ(environ).management_token == management_token(environ)
    other = {**environ, "SERVICE_MANAGEMENT_TOKEN": secret[::-1]}
    assert secret[::-1] == Settings.from_environ(other).management_token
    assert secret not in repr(Settings.from_environ(environ))


def test_reads_cannot_need_a_token_that_is_not_set() -> None:
    expected = "expected a token in SERVICE_MANAGEMENT_TOKEN or in the file of SERVICE_MANAGEMENT_TOKEN_FILE"
    found = problems_of({"SERVICE_MANAGEMENT_TOKEN_READS": "true"})
    assert [f"SERVICE_MANAGEMENT_TOKEN_READS is true, {expected}"] == found


def test_a_wrong_stand_in_is_named_by_its_own_name() -> None:
    """If you set `PORT`, the message names `PORT`, not `SERVICE_BIND`."""
    expected = [
        "FLASK_ENV is 'staging', expected one of development, testing, production",
        "PORT is '65536', expected a whole number from 1 to 65535",
    ]

    with pytest.raises(SettingsError) as raised:
        Settings.from_environ({"FLASK_ENV": "staging", "PORT": "65536"})
    assert expected == raised.value.problems
    assert "; ".join(expected) == str(raised.value)


def test_a_secret_is_shown_nowhere() -> None:
    """No message and no repr contains a secret, refused or accepted."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_environ({"SERVICE_SECRET_KEY": "hunter2"})

    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in repr(raised.value)

    settings = Settings.from_environ({"SERVICE_SECRET_KEY": SECRET})

    assert settings.secret_key is not None
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_settings_do_not_change() -> None:
    """Settings read at the start hold until the end."""
    settings = Settings.from_environ({})

    for field in fields(Settings):
        with pytest.raises(FrozenInstanceError):
            setattr(settings, field.name, None)


def test_debugger_and_readable_log_are_for_development_only() -> None:
    """No other variable, such as Flask's own, turns the debugger on or off. The format can be set."""
    for mode, debug, log_format in [
        ("development", True, LogFormat.CONSOLE),
        ("testing", False, LogFormat.JSON),
        ("production", False, LogFormat.JSON),
    ]:
        environ = {"SERVICE_ENV": mode, "FLASK_DEBUG": str(int(not debug))}
        read = Settings.from_environ(environ)
        assert (debug, log_format) == (read.debug, read.log_format)
        assert LogFormat.ECS is Settings.from_environ({**environ, "SERVICE_LOG_FORMAT": "ecs"}).log_format


def test_unknown_variables_come_with_the_nearest_known_name() -> None:
    """A typo has a suggestion, a name unlike any other has none, and variables of others are ignored."""
    environ = {
        "SERVICE_TREADS": "8",
        "SERVICE_LOGLEVEL": "",
        "SERVICE_XQZJKWXQZJKWXQZJKW": "1",
        "SERVICE_THREADS": "8",
        "OTHER_SERVICE_THREADS": "8",
        "service_threads": "8",
        "PORT": "80",
    }
    expected = {
        "SERVICE_LOGLEVEL": "SERVICE_LOG_LEVEL",
        "SERVICE_TREADS": "SERVICE_THREADS",
        "SERVICE_XQZJKWXQZJKWXQZJKW": None,
    }

    assert expected == unknown_variables(environ)


def test_the_documentation_has_a_row_for_each_setting() -> None:
    """Every setting has a row with name, default and meaning, and is known. The default is as you would set it."""
    rows = documentation()
    defaults = {name: default for name, default, _ in rows}

    assert [field.metadata["variable"].name for field in fields(Settings)] == [*defaults]
    assert all(default and meaning.endswith(".") for _, default, meaning in rows)
    assert {} == unknown_variables(defaults)
    for name, expected in {
        "SERVICE_ENV": "`production`; `development` under `python -m service`",
        "SERVICE_NAME": f"`{Settings.from_environ({}).name}`",
        "SERVICE_THREADS": "`4`",
        "SERVICE_GRACEFUL_SECONDS": "`30`",
        "SERVICE_LOG_LEVEL": "`info`",
        "SERVICE_LOG_QUERY": "`false`",
        "SERVICE_LOG_SAMPLES": "none",
        "SERVICE_SECRET_KEY": "none",
    }.items():
        assert expected == defaults[name]
