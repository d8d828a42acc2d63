"""The command line of ``python -m flask_ops`` and of a service."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence

from flask_ops.core.first_steps import open_standard_streams
from flask_ops.core.loading import EXPECTED, TARGET, from_here, load_settings
from flask_ops.core.settings import Settings, documentation
from flask_ops.core.variables import Parse, seconds, text


def main(
    arguments: Sequence[str] | None = None,
    *,
    prog: str = "python -m flask_ops",
    settings: type[Settings] = Settings,
    application: str | None = None,
) -> int:
    """Run the command of the arguments and return the exit code.

    A service passes its ``settings`` and its ``application``, ``module:name`` or ``module:factory()``. Without
    arguments, the development server or Waitress then serves it.
    """
    open_standard_streams()
    parser = _parser(prog, settings, application)
    options = parser.parse_args(arguments)
    # Import a command only when it runs: `check` must also work if the application cannot be imported.
    module = importlib.import_module(f"flask_ops.cli.{options.module}")
    try:
        code: int = module.run(options)
    except argparse.ArgumentError as error:
        parser.error(str(error))
    return code


def _parser(prog: str, settings: type[Settings], application: str | None) -> argparse.ArgumentParser:
    """Return the parser. With an ``application``, the command is optional: without one, the service serves."""
    listed = [f"  {name} (default: {default})\n      {meaning}" for name, default, meaning in documentation(settings)]
    serves = (
        "Without a command, serve: with the development server if SERVICE_ENV is development (the default here), "
        "otherwise with Waitress."
    )
    parser = argparse.ArgumentParser(
        prog=prog,
        description=serves if application else "Serve an application, or check one before and after a deployment.",
        epilog="settings (environment variables):\n" + "\n".join(listed).replace("`", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(module="serving", application=application, settings=settings, is_given=application is None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=application is None)

    def add(name: str, module: str, about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        command.set_defaults(module=module)
        return command

    if application is None:
        about = "serve an application with Waitress: one process, graceful shutdown, management address"
        _add_application(add("serve", "serving", about))
    about = (
        "before a deployment: report faults and risks of this environment, with the remedy; exit code 1 after an error"
    )
    check = add("check", "check.command", about)
    if application is None:
        _add_application(check)
    _add_check(check)
    about = "after a deployment: test the running service, and change nothing in it; exit code 1 after an error"
    _add_verify(add("verify", "verify.command", about))
    if application is None:
        about = "check that the service on this machine is alive, for HEALTHCHECK in a Dockerfile; exit code 1 if not"
        add("healthcheck", "healthcheck", about)
        about = "write the Prometheus rules, the alerts, the dashboards and the runbook of this version into a folder"
        _add_observability(add("observability", "observability", about))
    return parser


def _add_application(command: argparse.ArgumentParser) -> None:
    command.add_argument("application", metavar="APP", type=_value(text(TARGET, EXPECTED)), help=EXPECTED)
    command.add_argument(
        "--settings",
        metavar="MODULE:CLASS",
        type=_settings,
        default=Settings,
        help="the class derived from flask_ops.Settings that APP uses (default: flask_ops.Settings)",
    )


def _add_check(command: argparse.ArgumentParser) -> None:
    servers = ("gunicorn", "waitress", "uwsgi")
    which = "the server that will run (default: gunicorn if installed, otherwise waitress)"
    command.add_argument("--server", choices=servers, help=which)
    checks = "run each readiness check once: its dependencies must be reachable from here"
    command.add_argument("--checks", action="store_true", help=checks)
    grace = "time that the supervisor allows between SIGTERM and SIGKILL"
    command.add_argument("--grace", type=_value(seconds(0, 86400)), metavar="SECONDS", help=grace)
    _add_json(command)


def _add_verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("url", metavar="URL", help="the address that clients use, http or https")
    command.add_argument(
        "--path",
        type=_value(text(r"/[!-~]*", "a path that begins with /")),
        default="/",
        help="a path that answers 200 to every client (default: %(default)s)",
    )
    management = "the management address; once for each instance if URL is a load balancer"
    command.add_argument("--management", action="append", default=[], metavar="URL", help=management)
    public = "URL is the public address: /metrics there is an error, and plain http is a warning"
    command.add_argument("--public", action="store_true", help=public)
    wait = "maximum wait at the start until every URL is ready (default: %(default)s)"
    command.add_argument("--wait", type=_value(seconds(0, 3600)), default=0.0, metavar="SECONDS", help=wait)
    timeout = "limit for each step of a request; all requests together may take 12 times as long (default: %(default)s)"
    command.add_argument("--timeout", type=_value(seconds(0.01, 3600)), default=5.0, metavar="SECONDS", help=timeout)
    _add_json(command)


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one line of JSON instead of the table")


def _add_observability(command: argparse.ArgumentParser) -> None:
    folder = "created if it is missing; other files in it stay unchanged"
    command.add_argument("folder", metavar="FOLDER", help=folder)
    command.add_argument("--force", action="store_true", help="replace files that differ")


def _value(parse: Parse) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return parse(text)
        except ValueError as expected:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None

    return read


def _settings(target: str) -> type[Settings]:
    from_here()
    try:
        return load_settings(target)
    except (ValueError, TypeError, ImportError, AttributeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
