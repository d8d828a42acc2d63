"""Every setting of the service, read once from the environment into one frozen object."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Self, dataclass_transform

from flask_ops.core.address import Address
from flask_ops.core.cgroup import usable_cpus
from flask_ops.core.objectives import Latency, RouteObjectives, latency, ratio, route_objectives, routes
from flask_ops.core.variables import (
    UNSET,
    Derived,
    Variable,
    boolean,
    choice,
    hosts,
    in_file,
    integer,
    names,
    seconds,
    setting,
    shares,
    text,
)

PREFIX = "SERVICE_"


class Mode(StrEnum):
    """The environment in which the process runs."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    """The format of a log line."""

    JSON = "json"
    CONSOLE = "console"
    ECS = "ecs"


class LogLevel(StrEnum):
    """The least severe level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


def _default_bind(known: Mapping[str, Any]) -> Address:
    return Address("127.0.0.1", 5000 if known["mode"] is Mode.DEVELOPMENT else 8000)


_token = text(r"[A-Za-z0-9._~+/-]{16,512}=*", "at least 16 letters, digits or characters of -._~+/")
"""The syntax of a bearer token (RFC 6750, 2.1)."""


def _port(value: str) -> Address:
    return Address("0.0.0.0", integer(1, 65535)(value))  # noqa: S104 - every platform that sets PORT expects this


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting,))
@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process.

    To add settings, derive a class and declare a field for each: ``database: str = setting("SERVICE_DATABASE", ...)``.
    ``class Settings(flask_ops.Settings, name="orders", version="1.2.0")`` changes the defaults of ``SERVICE_NAME`` and
    ``SERVICE_VERSION``.
    """

    _defaults: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Defaults that a derived class changed, by field name."""

    mode: Mode = setting(
        "SERVICE_ENV",
        choice(Mode),
        default=Derived(lambda known: known["mode"], "`production`; `development` under `python -m service`"),
        help="`development`, `testing` or `production`. If not set, `FLASK_ENV` counts.",
        fallback=("FLASK_ENV", choice(Mode)),
    )
    name: str = setting(
        "SERVICE_NAME",
        text(r"[A-Za-z][A-Za-z0-9._-]{0,62}", "1 to 63 letters, digits, '.', '_' or '-', a letter first"),
        default="service",
        help="The name of the service in log lines and in the answer of `/`.",
    )
    version: str = setting(
        "SERVICE_VERSION",
        text(r"[A-Za-z0-9._+-]{1,64}", "1 to 64 letters, digits, '.', '_', '+' or '-'"),
        default="0.0.0",
        help="The deployed version, for example a commit.",
    )
    bind: Address = setting(
        "SERVICE_BIND",
        Address.parse,
        default=Derived(_default_bind, "`127.0.0.1:8000`; `127.0.0.1:5000` in development"),
        help="The address to listen on: `host:port`, `[ipv6]:port` or `unix:/path` (mode 0666). If only `PORT` is set: "
        "`0.0.0.0:$PORT`, in development `127.0.0.1:$PORT`.",
        fallback=("PORT", _port),
    )
    workers: int = setting(
        "WEB_CONCURRENCY",
        integer(1, 1000),
        default=Derived(lambda _: max(2, usable_cpus()), "CPUs the process may use, cgroup quota included; at least 2"),
        help="Worker processes (Gunicorn, uWSGI).",
    )
    threads: int = setting(
        "SERVICE_THREADS", integer(1, 1000), default=4, help="Threads in each worker, each for one request at a time."
    )
    keep_alive_seconds: int = setting(
        "SERVICE_KEEP_ALIVE_SECONDS",
        integer(1, 86400),
        default=620,
        help="Seconds to keep an idle connection open (Gunicorn, Waitress). It must be longer than the idle timeout of "
        "every load balancer in front: 60 in AWS, 600 in Google Cloud.",
    )
    drain_seconds: float = setting(
        "SERVICE_DRAIN_SECONDS",
        seconds(0, 3600),
        default=5.0,
        help="Seconds to drain before a stop. Readiness is 503 and requests are still served, so that load balancers "
        "notice in time.",
    )
    graceful_seconds: float = setting(
        "SERVICE_GRACEFUL_SECONDS",
        seconds(0, 3600),
        default=30.0,
        help="Seconds that requests in flight have to finish on a stop, after the drain.",
    )
    management_bind: Address | None = setting(
        "SERVICE_MANAGEMENT_BIND",
        Address.parse,
        default=Address("127.0.0.1", 8001),
        help="The address for probes and scrapes, answered outside the worker pool: `host:port`, `[ipv6]:port` or "
        "`unix:/path` (mode 0600). Empty turns it off.",
        if_empty=None,
    )
    management_hosts: tuple[str, ...] = setting(
        "SERVICE_MANAGEMENT_HOSTS",
        hosts,
        default=(),
        help="Host names by which clients reach the management address, separated by commas: `service,*.internal`. IP "
        "addresses and `localhost` are always accepted.",
    )
    management_token: str | None = setting(
        "SERVICE_MANAGEMENT_TOKEN",
        _token,
        default=None,
        help="The bearer token for changes on the management address: drain, resume, log levels. "
        "`SERVICE_MANAGEMENT_TOKEN_FILE` names a file that holds it instead.",
        fallback=("SERVICE_MANAGEMENT_TOKEN_FILE", in_file(_token)),
        secret=True,
    )
    management_token_reads: bool = setting(
        "SERVICE_MANAGEMENT_TOKEN_READS",
        boolean,
        default=False,
        help="Whether scrapes and the other reads there need the token too. `/livez` and `/readyz` never do.",
    )
    request_timeout: float = setting(
        "SERVICE_REQUEST_TIMEOUT",
        seconds(0.1, 86400),
        default=30.0,
        help="Seconds after which a request counts as stuck.",
    )
    queue_seconds: float = setting(
        "SERVICE_QUEUE_SECONDS",
        seconds(0, 3600),
        default=1.0,
        help="Seconds that a request may wait for a thread. A later one gets a 503, before the application runs. Under "
        "sustained overload, a quarter of it. 0 turns it off.",
    )
    critical_routes: frozenset[str] = setting(
        "SERVICE_CRITICAL_ROUTES",
        routes,
        default=frozenset(),
        help="Routes that go first under overload, separated by commas: `/pay, /orders/<int:number>`.",
    )
    log_level: LogLevel = setting(
        "SERVICE_LOG_LEVEL",
        choice(LogLevel),
        default=LogLevel.INFO,
        help="`debug`, `info`, `warning`, `error` or `critical`. Successful probes and scrapes are logged at `debug`.",
    )
    log_format: LogFormat = setting(
        "SERVICE_LOG_FORMAT",
        choice(LogFormat),
        default=Derived(
            lambda known: LogFormat.CONSOLE if known["mode"] is Mode.DEVELOPMENT else LogFormat.JSON,
            "`json`; `console` in development",
        ),
        help="`json`; `console` for people; `ecs`, Elastic Common Schema 8.",
    )
    log_max_line_bytes: int = setting(
        "SERVICE_LOG_MAX_LINE_BYTES",
        integer(1024, 2**24),
        default=65536,
        help="Maximum length of a line, in bytes. Fields of longer lines are shortened. If stdout is not a file, the "
        "limit is at most 4096, because a pipe splits longer lines.",
    )
    log_buffer_bytes: int = setting(
        "SERVICE_LOG_BUFFER_BYTES",
        integer(2**16, 2**30),
        default=2**20,
        help="Size of the log buffer of each process, in bytes. If the reader stalls and the buffer is full, lines are "
        "dropped and counted.",
    )
    log_mask: tuple[str, ...] = setting(
        "SERVICE_LOG_MASK",
        names,
        default=(),
        help="Additional names of fields to mask, separated by commas: `iban,ssn`.",
    )
    log_query: bool = setting(
        "SERVICE_LOG_QUERY",
        boolean,
        default=False,
        help="Whether the log line of a request has its query string, masked.",
    )
    log_samples: Mapping[str, float] = setting(
        "SERVICE_LOG_SAMPLES",
        shares,
        default=MappingProxyType({}),
        help="The share of successful requests to log, by route: `/=0.1 /items/<int:number>=0.01 *=0.5`, with `*` for "
        "all others. Errors and slow requests are always logged.",
    )
    log_slow_seconds: float = setting(
        "SERVICE_LOG_SLOW_SECONDS", seconds(0, 3600), default=1.0, help="Seconds from which a request counts as slow."
    )
    metrics_on_app: bool = setting(
        "SERVICE_METRICS_ON_APP", boolean, default=True, help="Whether the application's port also serves `/metrics`."
    )
    slo_availability: float = setting(
        "SERVICE_SLO_AVAILABILITY",
        ratio,
        default=Derived(lambda _: 0.999, "`99.9`"),
        help="The availability objective: the percentage of requests that do not fail, from 90 to below 100.",
    )
    slo_latency: Latency = setting(
        "SERVICE_SLO_LATENCY",
        latency,
        default=Latency(0.99, 0.3),
        help="The latency objective: the percentage of requests that are answered within a time in `ms` or `s`.",
    )
    slo_routes: RouteObjectives = setting(
        "SERVICE_SLO_ROUTES",
        route_objectives,
        default=RouteObjectives(),
        help="Objectives of single routes: `/checkout=99.95, /reports=95% < 5s`. Their requests count there instead of "
        "for the objective of the service.",
    )
    slo_exclude: frozenset[str] = setting(
        "SERVICE_SLO_EXCLUDE",
        routes,
        default=frozenset(),
        help="Routes that count for no objective, separated by commas. `/healthz`, `/readyz`, `/livez` and `/metrics` "
        "never count.",
    )
    team: str | None = setting(
        "SERVICE_TEAM",
        text(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,62}", "1 to 63 letters, digits, '.', '_', '-' or spaces"),
        default=None,
        help="The team that gets the alerts of the service: their label `team`.",
    )
    runbook_url: str = setting(
        "SERVICE_RUNBOOK_URL",
        text(r"https?://[^\s#\"]+", "an address like https://wiki.example.org/runbook.md, without #"),
        default="runbook.md",
        help="The address of the runbook. Alerts and panels link to its headings.",
    )
    max_body_bytes: int = setting(
        "SERVICE_MAX_BODY_BYTES",
        integer(0, 2**40),
        default=1024 * 1024,
        help="Maximum size of a request body, in bytes. A larger one gets a 413.",
    )
    trusted_proxies: int = setting(
        "SERVICE_TRUSTED_PROXIES",
        integer(0, 10),
        default=0,
        help="Number of proxies in front that set `X-Forwarded-For` and `-Proto`. Further values are ignored.",
    )
    trusted_host_proxies: int = setting(
        "SERVICE_TRUSTED_HOST_PROXIES",
        integer(0, 10),
        default=0,
        help="Number of these proxies that also set `X-Forwarded-Host`. With 0 only `Host` counts, because many load "
        "balancers pass on the client's `X-Forwarded-Host`.",
    )
    secret_key: str | None = setting(
        "SERVICE_SECRET_KEY",
        text(r".{16,}", "at least 16 characters"),
        default=None,
        help="The key that signs Flask's session cookies. Without it, sessions are refused.",
        secret=True,
    )

    def __init_subclass__(cls, *, name: str | None = None, version: str | None = None, **kwargs: Any) -> None:
        """Make the class a frozen dataclass. ``name`` and ``version`` are defaults.

        Raises TypeError if a field is not declared with ``setting()``, or reads the variable of another field. Raises
        ValueError for an invalid default.
        """
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True, kw_only=True)(cls)
        defaults = {"name": name, "version": version}
        cls._defaults = {**cls._defaults, **{field: value for field, value in defaults.items() if value is not None}}
        readers: dict[str, str] = {}
        for item in fields(cls):
            declared = item.metadata.get("variable")
            if declared is None:
                raise TypeError(f"{cls.__name__}.{item.name} is not declared with setting(...)")
            if readers.setdefault(declared.name, item.name) != item.name:
                raise TypeError(f"{cls.__name__}.{item.name} reads {declared.name}, as {readers[declared.name]} does")
            if item.name in cls._defaults:
                default = cls._defaults[item.name]
                try:
                    declared.parse(default)
                except ValueError as expected:
                    raise ValueError(f"{cls.__name__}: {item.name} is {default!r}, expected {expected}") from None

    @property
    def debug(self) -> bool:
        """True in development only. Turns on debugger and reloader; no other setting can."""
        return self.mode is Mode.DEVELOPMENT

    @property
    def testing(self) -> bool:
        """True in tests. Exceptions then reach the test."""
        return self.mode is Mode.TESTING

    @classmethod
    def current(cls) -> Self:
        """Return the settings of the application that serves the current request or runs the current check.

        Raises RuntimeError outside an application, and TypeError if its settings have another class.
        """
        from flask import current_app  # noqa: PLC0415 - the health check reads settings without Flask

        attached = current_app.extensions.get("flask_ops")
        if attached is None:
            raise RuntimeError("This application has no settings. Call flask_ops.Ops(app) in its factory.")
        if not isinstance(attached.settings, cls):
            found = type(attached.settings)
            raise TypeError(
                f"The settings of this application are {found.__module__}.{found.__qualname__}, "
                f"not {cls.__module__}.{cls.__qualname__}. Pass that class to Ops and to configure()."
            )
        return attached.settings

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, default_mode: Mode = Mode.PRODUCTION) -> Self:
        """Read the settings. An empty variable counts as not set.

        Raises SettingsError, which names every invalid or missing variable.
        """
        known: dict[str, Any] = {"mode": default_mode}
        problems: dict[str, str] = {}
        for attribute, variable in _declared(cls):
            try:
                known[attribute] = variable.read(environ, known)
            except ValueError as problem:
                problems[attribute] = str(problem)
                known[attribute] = variable.default_after(known)
        if known["mode"] is Mode.DEVELOPMENT and "mode" not in problems and not known["bind"].is_loopback:
            if environ.get("SERVICE_BIND", "").strip():
                problems["bind"] = (
                    f"SERVICE_BIND is {str(known['bind'])!r}, expected a loopback address in development, "
                    "because every client can run code in the debugger"
                )
            else:
                known["bind"] = Address("127.0.0.1", known["bind"].port)
        if known["management_token_reads"] and known["management_token"] is None and "management_token" not in problems:
            text = "expected a token in SERVICE_MANAGEMENT_TOKEN or in the file of SERVICE_MANAGEMENT_TOKEN_FILE"
            problems.setdefault("management_token_reads", f"SERVICE_MANAGEMENT_TOKEN_READS is true, {text}")
        if problems:
            raise SettingsError([*problems.values()], cls(**known))
        return cls(**known)


def management_token(environ: Mapping[str, str]) -> str | None:
    """Return the token of the management address alone, for clients. Raises ValueError if it is not valid."""
    token: str | None = dict(_declared(Settings))["management_token"].read(environ, {})
    return token


class SettingsError(ValueError):
    """Settings are missing or invalid; ``problems`` has one sentence for each.

    ``rest`` has defaults in place of the invalid settings. Use it to log the problems in the right format.
    """

    def __init__(self, problems: list[str], rest: Settings) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.rest = rest


def unknown_variables(environ: Mapping[str, str], settings: type[Settings] = Settings) -> dict[str, str | None]:
    """Return the variables with the prefix ``SERVICE_`` that no setting reads, each with the nearest known name."""
    known = {name for _, variable in _declared(settings) for name, _ in variable.sources}
    names = [name.removeprefix(PREFIX) for name in known if name.startswith(PREFIX)]
    unknown = sorted(name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
    nearest = {name: difflib.get_close_matches(name, names, n=1) for name in unknown if name not in names}
    return {PREFIX + name: PREFIX + found[0] if found else None for name, found in nearest.items()}


def documentation(settings: type[Settings] = Settings) -> list[tuple[str, str, str]]:
    """Return name, default and meaning of every setting, as in the reference."""
    return [(variable.name, _show(variable.default), variable.help) for _, variable in _declared(settings)]


def _show(default: Any) -> str:
    if isinstance(default, Derived):
        return default.text
    if default is UNSET:
        return "required"
    if default in (None, (), {}, frozenset(), RouteObjectives()):
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _declared(settings: type[Settings]) -> Iterator[tuple[str, Variable]]:
    """Yield each field with its variable. A derived class may have changed the default."""
    for item in fields(settings):
        variable: Variable = item.metadata["variable"]
        yield item.name, variable._replace(default=settings._defaults.get(item.name, variable.default))
