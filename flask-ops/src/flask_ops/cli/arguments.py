"""The arguments of ``python -m flask_ops``, and of a service that calls ``flask_ops.cli.main.run``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from flask_ops.core.loading import EXPECTED, is_target
from flask_ops.core.settings import Settings, documentation
from flask_ops.core.variables import Parse, integer, seconds, text

SERVERS = ("gunicorn", "waitress", "uwsgi")


def parser(prog: str, settings: type[Settings], application: str | None) -> argparse.ArgumentParser:
    """Return the parser. ``command`` is None if the service is to serve, which only one with an ``application`` can."""
    listed = [f"  {name} (default: {default})\n      {meaning}" for name, default, meaning in documentation(settings)]
    serves = (
        "Serve: with the development server if SERVICE_ENV is development (the default here), else with Waitress. "
        "Or run a command."
    )
    main = argparse.ArgumentParser(
        prog=prog,
        description=serves if application else "Serve an application, or check one before and after a deployment.",
        epilog="settings, which are environment variables:\n" + "\n".join(listed).replace("`", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=application is None)
    if application is None:
        _add_serve(commands)
    _add_check(commands, application)
    _add_verify(commands)
    if application is None:
        _add_healthcheck(commands)
        _add_observability(commands)
    return main


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "serve an application with Waitress: one process, a stop that loses no request, the management address"
    serve = commands.add_parser("serve", help=about, description=f"{about[0].upper()}{about[1:]}.")
    serve.add_argument("application", metavar="APP", type=_application, help=EXPECTED)
    _add_settings(serve)


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--settings",
        metavar="MODULE:CLASS",
        help="the class derived from flask_ops.Settings that APP uses (default: flask_ops.Settings)",
    )


def _add_healthcheck(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "ask the service on this machine whether it is alive, for HEALTHCHECK in a Dockerfile"
    commands.add_parser("healthcheck", help=about, description=f"{about[0].upper()}{about[1:]}. Exit code 1 if not.")


def _add_observability(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "write the Prometheus rules, the alerts, the dashboard and the runbook of this version into a folder"
    write = commands.add_parser("observability", help=about, description=f"{about[0].upper()}{about[1:]}.")
    write.add_argument("folder", metavar="FOLDER", help="made if it is missing; no other file in it is touched")
    write.add_argument(
        "--job", default="service", metavar="NAME", help="the job that the rules select (default: %(default)s)"
    )
    write.add_argument("--force", action="store_true", help="replace files that differ")


def _application(value: str) -> str:
    if not is_target(value):
        raise argparse.ArgumentTypeError(f"{value!r} is not {EXPECTED}")
    return value


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser], application: str | None) -> None:
    about = "before a deployment: say what in this environment is unsafe or will not work, and the cure"
    check = commands.add_parser(
        "check",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. Starts nothing that stays. Exit code 1 where there is an error.",
    )
    if application is None:
        check.add_argument("application", metavar="APP", type=_application, help=EXPECTED)
        _add_settings(check)
    check.add_argument(
        "--server", choices=SERVERS, help="which one will serve (default: gunicorn, where it is installed)"
    )
    check.add_argument(
        "--grace",
        type=_argument(seconds(0, 86400)),
        metavar="SECONDS",
        help="how long the supervisor waits between SIGTERM and SIGKILL",
    )
    check.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "after a deployment: ask a service that runs whether all is as it should be"
    verify = commands.add_parser(
        "verify",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. Changes nothing in it. Exit code 1 where there is an error.",
    )
    verify.add_argument("url", metavar="URL", help="where its clients reach it, http or https")
    verify.add_argument(
        "--path",
        type=_argument(text(r"/[!-~]*", "a path that begins with /")),
        default="/",
        help="what it answers with 200 to everybody, where that is not / (default: %(default)s)",
    )
    verify.add_argument(
        "--management",
        action="append",
        default=[],
        metavar="URL",
        help="its management address; once for each instance, where URL is a load balancer",
    )
    verify.add_argument(
        "--public",
        action="store_true",
        help="URL is what the world sees: /metrics that answer there are an error, and plain http is a warning",
    )
    verify.add_argument(
        "--wait",
        type=_argument(seconds(0, 3600)),
        default=0.0,
        metavar="SECONDS",
        help="how long to wait, before anything else, until every URL is there and ready (default: %(default)s)",
    )
    verify.add_argument(
        "--latency",
        type=_argument(seconds(0, 3600)),
        default=0.5,
        metavar="SECONDS",
        help="above which median of ten requests to warn (default: %(default)s)",
    )
    verify.add_argument(
        "--certificate-days",
        type=_argument(integer(0, 3650)),
        default=14,
        metavar="DAYS",
        help="below which rest of the certificate's life to warn (default: %(default)s)",
    )
    verify.add_argument(
        "--timeout",
        type=_argument(seconds(0.01, 3600)),
        default=5.0,
        metavar="SECONDS",
        help="for one request (default: %(default)s)",
    )
    verify.add_argument(
        "--total-timeout",
        type=_argument(seconds(0.01, 3600)),
        default=60.0,
        metavar="SECONDS",
        help="for all requests together, without --wait (default: %(default)s)",
    )
    verify.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def _argument(parse: Parse) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return parse(text)
        except ValueError as expected:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None

    return read
