"""``python -m observability.monitor``: the service with Prometheus and Alertmanager, until Ctrl-C.

It uses the configuration of this folder and replaces the addresses. The data of Prometheus and Alertmanager is deleted
at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Never

import yaml

from observability import programs
from observability.configuration import aimed
from observability.programs import GUNICORN, Interrupted, MissingProgramError, Program, end_by_signal, occupied, wait

SOURCE = Path(__file__).parent


def main() -> int:
    """Return 0 after a signal. Print the reason and return 1 if a program does not start or ends."""
    parser = argparse.ArgumentParser("observability.monitor", description=__doc__)
    for name, port in (("service", 8000), ("management", 8001), ("prometheus", 9090), ("alertmanager", 9093)):
        parser.add_argument(f"--{name}", type=_port, default=port, metavar="PORT", help=f"default: {port}")
    ports = vars(parser.parse_args())
    if len(set(ports.values())) < len(ports):
        parser.error(
            f"two programs cannot share a port: {', '.join(f'--{name} {port}' for name, port in ports.items())}"
        )
    if taken := [f"--{name} {port}" for name, port in ports.items() if occupied(port)]:
        parser.error(f"port already in use, choose another one: {', '.join(taken)}")
    end_by_signal()
    running: list[Program] = []
    with tempfile.TemporaryDirectory(prefix="monitor-", ignore_cleanup_errors=True) as directory:
        try:
            _run(Path(directory), ports, running)
        except (MissingProgramError, RuntimeError) as error:
            print(error, file=sys.stderr)  # noqa: T201 - the command reports its error
            return 1
        except Interrupted:
            return 0
        finally:
            for program in reversed(running):
                program.stop()


def _port(text: str) -> int:
    """Return the port number. Raise ArgumentTypeError if the text is not one."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: expected a number from 1 to 65535")
    return int(text)


def _run(directory: Path, ports: dict[str, int], running: list[Program]) -> Never:
    """Start all programs and print their addresses.

    Raise Interrupted after a signal, and RuntimeError if a program ends.
    """
    address = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    (directory / "prometheus.yml").write_text(_prometheus(address["management"], address["alertmanager"]))
    (directory / "alertmanager.yml").write_text((SOURCE / "alertmanager.yml").read_text())
    # No load balancer is in front of this service, so it needs no drain. It must end within `programs.GRACE_SECONDS`,
    # whatever the environment says: a killed service does not remove its metrics store.
    service = {**os.environ, "SERVICE_DRAIN_SECONDS": "0", "SERVICE_GRACEFUL_SECONDS": "1"}
    service |= {"SERVICE_BIND": address["service"], "SERVICE_MANAGEMENT_BIND": address["management"]}
    commands: dict[str, tuple[list[str | Path], dict[str, str] | None, str]] = {
        "alertmanager": (programs.alertmanager(directory, ports["alertmanager"]), None, "/-/ready"),
        "prometheus": (programs.prometheus(directory, ports["prometheus"]), None, "/-/ready"),
        "service": ([GUNICORN], service, "/healthz"),
    }
    for name, (command, env, path) in commands.items():
        # The log of the service goes to the terminal, as with `make run`.
        stdout = sys.stdout.fileno() if name == "service" else None
        running.append(Program(command, directory / f"{name}.log", env, stdout))
        running[-1].wait_for(f"http://{address[name]}{path}")
    for name, path in (("service", "/"), ("management", "/"), ("prometheus", "/alerts"), ("alertmanager", "/")):
        print(f"{name:<13} http://{address[name]}{path}", flush=True)  # noqa: T201 - the output of the command
    print("Press Ctrl-C to stop all of them.", flush=True)  # noqa: T201 - the output of the command
    while True:
        wait(1.0)
        for name, program in zip(commands, running, strict=True):
            if program.process.poll() is not None:
                raise RuntimeError(f"{name} has ended:\n{program.output.read_text(errors='backslashreplace')[-4000:]}")


def _prometheus(target: str, alertmanager: str) -> str:
    config = aimed(SOURCE / "prometheus.yml", target, alertmanager)
    config["rule_files"] = [str(SOURCE / path) for path in config["rule_files"]]
    return yaml.safe_dump(config, sort_keys=False)


if __name__ == "__main__":
    sys.exit(main())
