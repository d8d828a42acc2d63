"""Every setting of the service, read once from the environment into one frozen object."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from service import __version__
from service.address import Address
from service.cpus import usable_cpus
from service.variables import (
    NOT_SET,
    Derived,
    Variable,
    boolean,
    choice,
    integer,
    names,
    seconds,
    shares,
    text,
    variable,
)

PREFIX = "SERVICE_"


class Mode(StrEnum):
    """What the process is for."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    """How a log line looks."""

    JSON = "json"
    CONSOLE = "console"
    ECS = "ecs"
    OTEL = "otel"


class LogLevel(StrEnum):
    """The least severe level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


def _default_bind(known: Mapping[str, Any]) -> Address:
    return Address("127.0.0.1", 5000 if known["mode"] is Mode.DEVELOPMENT else 8000)


def _port(value: str) -> Address:
    return Address("0.0.0.0", integer(1, 65535)(value))  # noqa: S104 - what PORT means on every platform that sets it


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process. To add one, add one field."""

    mode: Mode = variable(
        "SERVICE_ENV",
        choice(Mode),
        Derived(lambda known: known["default_mode"], "`production`; `development` under `python -m service`"),
        "`development`, `testing` or `production`. Where it is not set, `FLASK_ENV` counts.",
        instead=("FLASK_ENV", choice(Mode)),
    )
    name: str = variable(
        "SERVICE_NAME",
        text(r"[A-Za-z][A-Za-z0-9._-]{0,62}", "1 to 63 letters, digits, '.', '_' or '-', a letter first"),
        "service",
        "The name in log lines and in the answer of `/`.",
    )
    version: str = variable(
        "SERVICE_VERSION",
        text(r"[A-Za-z0-9._+-]{1,64}", "1 to 64 letters, digits, '.', '_', '+' or '-'"),
        Derived(lambda _: __version__, "`service.__version__`"),
        "What is deployed, a commit for example.",
    )
    bind: Address = variable(
        "SERVICE_BIND",
        Address.parse,
        Derived(_default_bind, "`127.0.0.1:8000`; `127.0.0.1:5000` in development"),
        "Where to listen: `host:port`, `[ipv6]:port` or `unix:/path`. "
        "Where it is not set and `PORT` is, `0.0.0.0:$PORT`; in development `127.0.0.1:$PORT`.",
        instead=("PORT", _port),
    )
    workers: int = variable(
        "WEB_CONCURRENCY",
        integer(1, 1000),
        Derived(lambda _: max(2, usable_cpus()), "CPUs the process may use, cgroup quota included; at least 2"),
        "Worker processes (Gunicorn, uWSGI).",
    )
    threads: int = variable(
        "SERVICE_THREADS", integer(1, 1000), 4, "Threads in each worker: requests that it serves at one time."
    )
    drain_seconds: float = variable(
        "SERVICE_DRAIN_SECONDS",
        seconds(0, 3600),
        5.0,
        "How long the service goes on serving on a stop while it says that it is not ready: the time that load "
        "balancers take to notice.",
    )
    graceful_seconds: float = variable(
        "SERVICE_GRACEFUL_SECONDS",
        seconds(0, 3600),
        30.0,
        "How long requests in flight may take to finish on a stop, after the drain.",
    )
    management_bind: Address | None = variable(
        "SERVICE_MANAGEMENT_BIND",
        Address.parse,
        Address("127.0.0.1", 8001),
        "Where probes and scrapes are answered from outside the worker pool: `host:port`, `[ipv6]:port` or "
        "`unix:/path`. Empty turns it off.",
        if_empty=None,
    )
    request_timeout: float = variable(
        "SERVICE_REQUEST_TIMEOUT", seconds(0.1, 86400), 30.0, "After how many seconds a request counts as stuck."
    )
    log_level: LogLevel = variable(
        "SERVICE_LOG_LEVEL",
        choice(LogLevel),
        LogLevel.INFO,
        "`debug`, `info`, `warning`, `error` or `critical`. Successful probes and scrapes are logged at `debug`.",
    )
    log_format: LogFormat = variable(
        "SERVICE_LOG_FORMAT",
        choice(LogFormat),
        Derived(
            lambda known: LogFormat.CONSOLE if known["mode"] is Mode.DEVELOPMENT else LogFormat.JSON,
            "`json`; `console` in development",
        ),
        "`json`; `console` for people; `ecs`, Elastic Common Schema 8; `otel`, OpenTelemetry's log data model.",
    )
    log_max_line_bytes: int | None = variable(
        "SERVICE_LOG_MAX_LINE_BYTES",
        integer(1024, 2**24),
        Derived(lambda _: None, "`65536`"),
        "The longest line in a file, in bytes; in a longer one fields are shortened. Where stdout is no file, a "
        "line has at most 4096, because a pipe tears longer ones apart.",
    )
    log_buffer_bytes: int = variable(
        "SERVICE_LOG_BUFFER_BYTES",
        integer(2**16, 2**30),
        2**20,
        "How much each process keeps, in bytes, while nobody reads its log; lines beyond are dropped and counted.",
    )
    log_mask: tuple[str, ...] = variable(
        "SERVICE_LOG_MASK",
        names,
        Derived(lambda _: (), "none"),
        "More names of fields whose values are masked, with commas between them: `iban,ssn`.",
    )
    log_query: bool = variable(
        "SERVICE_LOG_QUERY", boolean, False, "Whether the line of a request has its query string, masked."
    )
    log_repeats: int = variable(
        "SERVICE_LOG_REPEATS",
        integer(0, 10**6),
        0,
        "How many warnings and errors with the same text (and exception, by type and place) each process writes a "
        "minute; the next one says how many were left out. 0: all.",
    )
    log_samples: Mapping[str, float] = variable(
        "SERVICE_LOG_SAMPLES",
        shares,
        Derived(lambda _: {}, "none"),
        "The share of successful requests that have a line, by route: `/=0.1 /items/<int:number>=0.01 *=0.5`, with "
        "`*` for all others. Errors and slow requests always have one.",
    )
    log_slow_seconds: float = variable(
        "SERVICE_LOG_SLOW_SECONDS", seconds(0, 3600), 1.0, "From how many seconds on a request is slow."
    )
    metrics_on_app: bool = variable(
        "SERVICE_METRICS_ON_APP", boolean, True, "Whether `/metrics` is served on the application's port, too."
    )
    faults: bool = variable(
        "SERVICE_FAULTS",
        boolean,
        False,
        "Whether `/faults/...` breaks things on request, for drills; not in production.",
    )
    max_body_bytes: int = variable(
        "SERVICE_MAX_BODY_BYTES",
        integer(0, 2**40),
        1024 * 1024,
        "The largest request body that is read, in bytes; a larger one is answered with 413.",
    )
    trusted_proxies: int = variable(
        "SERVICE_TRUSTED_PROXIES",
        integer(0, 10),
        0,
        "How many proxies in front set `X-Forwarded-For` and `-Proto`; further values are not believed.",
    )
    trusted_host_proxies: int = variable(
        "SERVICE_TRUSTED_HOST_PROXIES",
        integer(0, 10),
        0,
        "How many of them set `X-Forwarded-Host` as well. With 0 it is not believed, and `Host` counts: many load "
        "balancers pass on what the client has sent.",
    )
    secret_key: str | None = variable(
        "SERVICE_SECRET_KEY",
        text(r".{16,}", "at least 16 characters"),
        None,
        "Signs Flask's session cookies. Without one, sessions are refused.",
        secret=True,
    )

    @property
    def debug(self) -> bool:
        """Debugger and reloader: in development, never elsewhere, whatever else is set."""
        return self.mode is Mode.DEVELOPMENT

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, default_mode: Mode = Mode.PRODUCTION) -> Settings:
        """Read the settings; a variable that is empty counts as not set.

        Raises SettingsError, which names every wrong variable at once.
        """
        known: dict[str, Any] = {"default_mode": default_mode}
        problems = []
        for attribute, declared in _declared():
            name, value, parse = _lookup(declared, environ)
            default = declared.default
            known[attribute] = default.compute(known) if isinstance(default, Derived) else default
            if declared.if_empty is not NOT_SET and environ.get(name, "unset").strip() == "":
                known[attribute] = declared.if_empty
            if value is not None:
                try:
                    known[attribute] = parse(value)
                except ValueError as expected:
                    shown = "(not shown)" if declared.secret else repr(value)
                    problems.append(f"{name} is {shown}, expected {expected}")
        del known["default_mode"]
        mode_is_sure = not any("ENV is" in problem for problem in problems)
        if known["mode"] is Mode.DEVELOPMENT and mode_is_sure and not known["bind"].is_loopback:
            if environ.get("SERVICE_BIND", "").strip():
                problems.append(
                    f"SERVICE_BIND is {str(known['bind'])!r}, expected a loopback address in development, "
                    "where everybody who can connect can run code in the debugger"
                )
            else:
                known["bind"] = Address("127.0.0.1", known["bind"].port)
        if known["faults"] and known["mode"] is Mode.PRODUCTION and mode_is_sure:
            problems.append(
                "SERVICE_FAULTS is 'true', expected false in production, where nothing may break on request"
            )
        if problems:
            raise SettingsError(problems, cls(**known))
        return cls(**known)


class SettingsError(ValueError):
    """Variables have values that cannot be used; ``problems`` has one sentence for each.

    ``rest`` are the settings with defaults in their place, enough to say so in the right format.
    """

    def __init__(self, problems: list[str], rest: Settings) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.rest = rest


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables with our prefix that no setting reads, each with the nearest known name."""
    names = [declared.name.removeprefix(PREFIX) for _, declared in _declared() if declared.name.startswith(PREFIX)]
    unknown = sorted(name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
    nearest = {name: difflib.get_close_matches(name, names, n=1) for name in unknown if name not in names}
    return {PREFIX + name: PREFIX + found[0] if found else None for name, found in nearest.items()}


def documentation() -> list[tuple[str, str, str]]:
    """Return name, default and meaning of every setting, as in the README's table."""
    return [(declared.name, _show(declared.default), declared.help) for _, declared in _declared()]


def _show(default: Any) -> str:
    if isinstance(default, Derived):
        return default.text
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _declared() -> Iterator[tuple[str, Variable]]:
    for item in fields(Settings):
        yield item.name, item.metadata["variable"]


def _lookup(declared: Variable, environ: Mapping[str, str]) -> tuple[str, str | None, Any]:
    """Return the name of the variable that counts, its text (None if not set) and its parser."""
    candidates = [(declared.name, declared.parse)]
    if declared.instead is not None:
        candidates.append(declared.instead)
    for name, parse in candidates:
        value = environ.get(name, "").strip()
        if value:
            return name, value, parse
    return declared.name, None, declared.parse
