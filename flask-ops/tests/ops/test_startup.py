"""The start of a process, which sets up its log and settings. Each test runs one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flask_ops.ops.startup import EX_CONFIG

pytestmark = pytest.mark.system

START = """
from flask_ops.core.settings import Settings
from flask_ops.ops.startup import start

settings = start(Settings)
"""


@dataclass(frozen=True)
class Run:
    """An ended process: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines with this event."""
        return [line for line in map(json.loads, self.out.splitlines()) if line["event"] == event]


def run(program: str, environ: Mapping[str, str]) -> Run:
    """Run a program with these variables, and no others that configure the service."""
    ours = ("SERVICE_", "FLASK_", "PROMETHEUS_")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) and name not in {"PORT", "WEB_CONCURRENCY"}
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, **environ},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def test_usable_settings_start_without_a_word_and_set_up_the_log() -> None:
    """Our formatter renders even the first line of any code, with the service's name."""
    program = START + "import logging; logging.getLogger('a.library').warning('hello %s', settings.threads)"
    done = run(program, {"SERVICE_NAME": "shop", "SERVICE_THREADS": "9"})
    (line,) = done.lines("hello 9")

    assert ("shop", "warning", "a.library") == (line["service"], line["level"], line["logger"])
    assert [line] == [json.loads(each) for each in done.out.splitlines()]
    assert (0, "") == (done.code, done.err)


def test_unusable_settings_stop_the_start_with_one_line_that_names_them_all() -> None:
    """It is one critical line at any level, without a traceback and without a secret.

    The exit code tells a supervisor that a restart does not help (sysexits.h).
    """
    unusable = {"SERVICE_THREADS": "many", "SERVICE_ENV": "staging", "SERVICE_SECRET_KEY": "hunter2"}
    done = run(START, {**unusable, "SERVICE_LOG_LEVEL": "critical"})
    (line,) = done.lines("settings cannot be used")

    assert [
        "SERVICE_ENV is 'staging', expected one of development, testing, production",
        "SERVICE_THREADS is 'many', expected a whole number from 1 to 1000",
        "SERVICE_SECRET_KEY is (not shown), expected at least 16 characters",
    ] == line["problems"]
    assert "critical" in line["level"]
    assert [line] == [json.loads(each) for each in done.out.splitlines()]
    assert not done.err
    assert "hunter2" not in done.out
    assert 78 == EX_CONFIG == done.code


def test_the_mode_is_the_callers_where_no_variable_sets_it() -> None:
    """`python -m service` is for development, a server is for production."""
    program = """
from flask_ops.core.settings import Mode, Settings
from flask_ops.ops.startup import start

for default, environ in [
    (Mode.PRODUCTION, {}),
    (Mode.DEVELOPMENT, {}),
    (Mode.DEVELOPMENT, {"SERVICE_ENV": "production"}),
]:
    print(start(Settings, environ, default_mode=default).mode)
"""
    assert Run(0, "production\ndevelopment\nproduction\n", "") == run(program, {})


def test_a_given_environment_is_read_in_place_of_the_process_s() -> None:
    """The process's own environment is then ignored."""
    program = """
from flask_ops.core.settings import Settings
from flask_ops.ops.startup import start

print(start(Settings, {"SERVICE_NAME": "given"}).name)
"""
    expected = Run(0, "given\n", "")

    assert expected == run(program, {"SERVICE_NAME": "own", "SERVICE_TREADS": "8"})


FLASK = """
import click
from flask_ops.core.settings import Settings
from flask_ops.ops.startup import start

with click.Context(click.Command("{command}"), info_name="{command}"):
    start(Settings)
"""


def test_flask_run_does_not_serve_production() -> None:
    """The development server has a debugger and no graceful stop. One line names the alternative."""
    done = run(FLASK.format(command="run"), {})
    (line,) = [json.loads(each) for each in done.out.splitlines()]
    expected = (78, "critical", "flask run is disabled outside development")

    assert expected == (done.code, line["level"], line["event"])
    assert "SERVICE_ENV=development" in line["hint"]


@pytest.mark.parametrize(("command", "mode"), [("run", "development"), ("shell", "production")])
def test_flasks_commands_work_where_they_do_no_harm(command: str, mode: str) -> None:
    """`flask run` works in development, and every other command in each mode."""
    expected = Run(0, "", "")

    assert expected == run(FLASK.format(command=command), {"SERVICE_ENV": mode})


def test_each_unknown_variable_is_warned_of_with_the_nearest_name() -> None:
    """A mistyped setting would silently keep its default. The service starts nevertheless."""
    done = run(START, {"SERVICE_TREADS": "8", "SERVICE_LOGLEVEL": "debug", "OTHER": "1"})
    expected = [
        ("warning", "SERVICE_LOGLEVEL", "SERVICE_LOG_LEVEL"),
        ("warning", "SERVICE_TREADS", "SERVICE_THREADS"),
    ]

    told = done.lines("unknown variable")
    assert expected == [(line["level"], line["variable"], line["did_you_mean"]) for line in told]
    assert not done.code


@pytest.mark.skipif(sys.platform == "win32", reason="the platform does not fork")
def test_an_unknown_variable_is_warned_of_once() -> None:
    """Neither a second application nor a forked worker repeats the warning."""
    program = f"""{START}start(Settings)
import os

for _ in range(2):
    if os.fork() == 0:
        start(Settings)
        os._exit(0)
    os.wait()
"""
    expected = ["SERVICE_TREADS"]

    assert expected == [line["variable"] for line in run(program, {"SERVICE_TREADS": "8"}).lines("unknown variable")]
