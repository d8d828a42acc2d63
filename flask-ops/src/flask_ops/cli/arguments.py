"""The arguments of ``python -m flask_ops``, and of a service that calls ``flask_ops.cli.main.run``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from flask_ops.core.loading import EXPECTED, is_target
from flask_ops.core.settings import Settings, documentation
from flask_ops.core.variables import Parse, integer, seconds, text

SERVERS = ("gunicorn", "waitress", "uwsgi")


def parser(prog: str, settings: type[Settings], application: str | None) -> argparse.ArgumentParser:
    """Return the parser. With an ``application``, the command is optional: without one, the service serves."""
    listed = [f"  {name} (default: {default})\n      {meaning}" for name, default, meaning in documentation(settings)]
    serves = (
        "Without a command, serve: with the development server if SERVICE_ENV is development (the default here), "
        "otherwise with Waitress."
    )
    main = argparse.ArgumentParser(
        prog=prog,
        description=serves if application else "Serve an application, or check one before and after a deployment.",
        epilog="settings (environment variables):\n" + "\n".join(listed).replace("`", ""),
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
    about = "serve an application with Waitress: one process, graceful shutdown, management address"
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
    about = "check that the service on this machine is alive, for HEALTHCHECK in a Dockerfile"
    commands.add_parser("healthcheck", help=about, description=f"{about[0].upper()}{about[1:]}. Exit code 1 if not.")


def _add_observability(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "write the Prometheus rules, the alerts, the dashboard and the runbook of this version into a folder"
    write = commands.add_parser("observability", help=about, description=f"{about[0].upper()}{about[1:]}.")
    write.add_argument("folder", metavar="FOLDER", help="created if it is missing; other files in it stay unchanged")
    write.add_argument(
        "--job", default="service", metavar="NAME", help="the job that the rules select (default: %(default)s)"
    )
    write.add_argument("--force", action="store_true", help="replace files that differ")


def _application(value: str) -> str:
    if not is_target(value):
        raise argparse.ArgumentTypeError(f"{value!r} is not {EXPECTED}")
    return value


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser], application: str | None) -> None:
    about = "before a deployment: report faults and risks of this environment, with the remedy"
    check = commands.add_parser(
        "check",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. Leaves nothing running. Exit code 1 after an error.",
    )
    if application is None:
        check.add_argument("application", metavar="APP", type=_application, help=EXPECTED)
        _add_settings(check)
    check.add_argument(
        "--server",
        choices=SERVERS,
        help="the server that will run (default: gunicorn if installed, otherwise waitress)",
    )
    check.add_argument(
        "--grace",
        type=_argument(seconds(0, 86400)),
        metavar="SECONDS",
        help="time that the supervisor allows between SIGTERM and SIGKILL",
    )
    check.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "after a deployment: test the running service"
    verify = commands.add_parser(
        "verify",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. Changes nothing in the service. Exit code 1 after an error.",
    )
    verify.add_argument("url", metavar="URL", help="the address that clients use, http or https")
    verify.add_argument(
        "--path",
        type=_argument(text(r"/[!-~]*", "a path that begins with /")),
        default="/",
        help="a path that answers 200 to every client (default: %(default)s)",
    )
    verify.add_argument(
        "--management",
        action="append",
        default=[],
        metavar="URL",
        help="the management address; once for each instance if URL is a load balancer",
    )
    verify.add_argument(
        "--public",
        action="store_true",
        help="URL is the public address: /metrics there is an error, and plain http is a warning",
    )
    verify.add_argument(
        "--wait",
        type=_argument(seconds(0, 3600)),
        default=0.0,
        metavar="SECONDS",
        help="maximum wait at the start until every URL is ready (default: %(default)s)",
    )
    verify.add_argument(
        "--latency",
        type=_argument(seconds(0, 3600)),
        default=0.5,
        metavar="SECONDS",
        help="warn if the median of ten requests is above this (default: %(default)s)",
    )
    verify.add_argument(
        "--certificate-days",
        type=_argument(integer(0, 3650)),
        default=14,
        metavar="DAYS",
        help="warn if the certificate expires in fewer days (default: %(default)s)",
    )
    verify.add_argument(
        "--timeout",
        type=_argument(seconds(0.01, 3600)),
        default=5.0,
        metavar="SECONDS",
        help="limit for one request (default: %(default)s)",
    )
    verify.add_argument(
        "--total-timeout",
        type=_argument(seconds(0.01, 3600)),
        default=60.0,
        metavar="SECONDS",
        help="limit for all requests together, without --wait (default: %(default)s)",
    )
    verify.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def _argument(parse: Parse) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return parse(text)
        except ValueError as expected:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None

    return read
