"""The two containers of compose.yaml, run by docker-compose. ``_write`` changes the file for tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.process import DEADLINE, REPOSITORY, clean_environ
from tests.programs import require
from tests.repository import names
from tests.repository.deploy.docker import Engine
from tests.repository.deploy.proxies import make_certificate


class Stack:
    """The containers, by their names in the file."""

    def __init__(self, docker: Engine, directory: Path) -> None:
        self._docker = docker
        self._ids: dict[str, str] = {}
        self._project = f"svc{os.getpid()}"
        self._options = ["--project-name", self._project, "--project-directory", str(directory)]
        self._options += ["--file", str(directory / "compose.yaml"), "--no-ansi"]
        self.certificate = directory / "deploy/nginx/tls/service.pem"

    def run(self, *arguments: str) -> str:
        """Return the output of ``docker-compose`` for these arguments; fail if it fails."""
        command = [str(require("docker-compose")), *self._options, *arguments]
        environ = {**clean_environ(), **self._docker.environ}
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=environ)
        assert done.returncode == 0, f"docker-compose {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def inspect(self, service: str) -> Any:
        """Return Docker's information about a container."""
        return self._docker.inspect(self._id(service))

    def port(self, port: int) -> int:
        """Return this machine's port for a port of the proxy."""
        (published,) = self.inspect("proxy")["NetworkSettings"]["Ports"][f"{port}/tcp"]
        return int(published["HostPort"])

    def address(self, service: str, network: str) -> str:
        """Return the address of a container in a network."""
        return str(self._in(service, network)["IPAddress"])

    def gateway(self, network: str) -> str:
        """Return the address of this machine in a network of the proxy."""
        return str(self._in("proxy", network)["Gateway"])

    def _in(self, service: str, network: str) -> Any:
        return self.inspect(service)["NetworkSettings"]["Networks"][f"{self._project}_{network}"]

    def log(self, service: str) -> str:
        """Return the output of a container."""
        return self._docker.run("logs", self._id(service))

    def _id(self, service: str) -> str:
        if service not in self._ids:  # the program takes a second
            self._ids[service] = self.run("ps", "--quiet", service)
        return self._ids[service]


@contextlib.contextmanager
def stack(docker: Engine, service: str, proxy: str, directory: Path) -> Iterator[Stack]:
    """Start both containers with copies of all mounted files in ``directory``, and remove them at the end."""
    shutil.copytree(REPOSITORY / "deploy", directory / "deploy")
    make_certificate(directory / "deploy/nginx/tls")
    _write(directory / "compose.yaml", service, proxy, docker.bridges)
    running = Stack(docker, directory)
    with _letting_pass(docker.bridges):
        try:
            running.run("up", "--detach", "--no-build")
            yield running
        finally:
            running.run("down", "--volumes", "--timeout", "0")


def _write(path: Path, service: str, proxy: str, bridges: str) -> None:
    project = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    first, second = project["services"][names.COMPOSE], project["services"]["proxy"]
    # The docker-compose of Debian 12 does not know these keys.
    del project["name"], second["depends_on"][names.COMPOSE]["restart"]
    # The tests build the images, and other programs may use the ports of this machine. An adopter may have published
    # more ports, or added services with images of their own.
    project["services"] = {names.COMPOSE: first, "proxy": second}
    for one in project["services"].values():
        one.pop("ports", None)
    first.pop("depends_on", None)
    del first["build"]
    first["image"], second["image"] = service, proxy
    second["ports"] = ["127.0.0.1::80", "127.0.0.1::443"]
    # These make the test faster.
    first["healthcheck"] = {"interval": "1s"}
    first["environment"]["SERVICE_DRAIN_SECONDS"] = "0"
    if bridges:
        for name, network in project["networks"].items():
            network["driver_opts"] = {"com.docker.network.bridge.name": f"{bridges}{name[0]}"}
    path.write_text(yaml.safe_dump(project))


@contextlib.contextmanager
def _letting_pass(bridges: str) -> Iterator[None]:
    """Allow traffic between containers on a bridge of the test's own engine, which adds no firewall rules.

    If another engine has run, the machine's own rules block this traffic.
    """
    if not bridges:
        yield
        return
    rule = ["FORWARD", "--in-interface", f"{bridges}+", "--out-interface", f"{bridges}+", "--jump", "ACCEPT"]
    _iptables("--insert", *rule)
    try:
        yield
    finally:
        _iptables("--delete", *rule)


def _iptables(*arguments: str) -> None:
    subprocess.run([require("iptables"), "--wait", *arguments], check=True, capture_output=True, timeout=DEADLINE)
