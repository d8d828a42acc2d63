"""A Docker engine for tests: a private engine that leaves nothing behind, or the engine of ``DOCKER_HOST``."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from tests.process import DEADLINE, REPOSITORY, Server, clean_environ, started, wait_until
from tests.programs import require
from tests.repository.deploy import base_image

HARDENED = ("--init", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp")
"""The README's options for running the image."""
_numbers = itertools.count()


@dataclass(frozen=True)
class Container:
    """A container. The process of ``server`` is the ``docker run`` that waits for it, with its output and exit code."""

    name: str
    server: Server


class Engine:
    """A Docker engine that listens at ``host``; the names of its networks' bridges must begin with ``bridges``."""

    def __init__(self, host: str, until_end: contextlib.ExitStack, bridges: str = "") -> None:
        # Every engine has this builder; the other one needs a plugin of the client.
        self.environ = {"DOCKER_HOST": host, "DOCKER_BUILDKIT": "0"}
        self.bridges = bridges
        self._until_end = until_end

    @cached_property
    def base(self) -> str:
        """Return the image of Python. With the same one, a later build finds the layers of an earlier one."""
        return self._until_end.enter_context(self.imported("base", base_image.make_python, *base_image.CHANGES))

    def run(self, *arguments: str | Path, timeout: float = DEADLINE) -> str:
        """Return the output of ``docker`` for these arguments; fail if it fails."""
        done = self._docker(*arguments, timeout=timeout)
        assert done.returncode == 0, f"docker {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def answers(self) -> bool:
        """Return True if the engine answers."""
        return self._docker("version").returncode == 0

    def inspect(self, name: str) -> Any:
        """Return Docker's information about an image or a container."""
        (found,) = json.loads(self.run("inspect", name))
        return found

    def health(self, container: Container) -> dict[str, Any]:
        """Return the health of a container with the results of its checks."""
        return dict(self.inspect(container.name)["State"]["Health"])

    @contextlib.contextmanager
    def image(self, version: str, context: Path = REPOSITORY, *options: str) -> Iterator[str]:
        """Build the image of the service in ``context``, on ``base``. Remove it at the end."""
        tag = f"service-test-{os.getpid()}:{version}"
        arguments = (f"--build-arg=PYTHON_IMAGE={self.base}", f"--build-arg=SERVICE_VERSION={version}", *options)
        try:
            self.run("build", "--network=none", "--force-rm", *arguments, "--tag", tag, context, timeout=200)
            yield tag
        finally:
            self._docker("rmi", "--force", tag)

    @contextlib.contextmanager
    def imported(self, name: str, make: Callable[[Path], None], *changes: str) -> Iterator[str]:
        """Make an image of the directory that ``make`` fills, and remove it at the end."""
        tag = f"service-test-{os.getpid()}:{name}"
        try:
            with tempfile.TemporaryDirectory() as directory:
                make(Path(directory) / "root")
                archive = shutil.make_archive(f"{directory}/{name}", "tar", f"{directory}/root")
                self.run("import", *(f"--change={change}" for change in changes), archive, tag, timeout=60)
            yield tag
        finally:
            self._docker("rmi", "--force", tag)

    @contextlib.contextmanager
    def container(
        self, image: str, directory: Path, *options: str, command: tuple[str, ...] = ()
    ) -> Iterator[Container]:
        """Run a container with the README's hardening, until the block ends."""
        name = f"service-test-{os.getpid()}-{next(_numbers)}"
        patient = f"--env=SERVICE_QUEUE_SECONDS={DEADLINE:g}"  # a busy machine is no overload
        usual = (*HARDENED, "--publish=127.0.0.1::8000", patient)
        arguments = ("run", "--rm", "--name", name, *usual, *options, image, *command)
        try:
            with started(["docker", *arguments], directory, self.environ) as server:
                yield Container(name, server)
        finally:
            self._docker("rm", "--force", name)

    @contextlib.contextmanager
    def serving(self, image: str, directory: Path, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
        """Run a container during the block, which begins when the container answers."""
        with self.container(image, directory, *options, command=command) as container:
            wait_until(lambda: self._ready(container), "the container answers /healthz")
            yield container

    def _ready(self, container: Container) -> bool:
        assert container.server.process.poll() is None, "the container has ended"
        published = self._docker("port", container.name, "8000").stdout.strip()
        with contextlib.suppress(OSError, ValueError):
            container.server.port = int(published.rpartition(":")[2])
            return container.server.get("/healthz").status == 200
        return False

    def _docker(self, *arguments: str | Path, timeout: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        command = ["docker", *map(str, arguments)]
        environ = {**clean_environ(), **self.environ}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, env=environ, cwd=REPOSITORY
        )


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """Yield the engine of ``DOCKER_HOST``. Without one, start an engine, which needs root, and end it."""
    host = os.environ.get("DOCKER_HOST")
    if host:
        with contextlib.ExitStack() as until_end:
            yield Engine(host, until_end)
        return
    daemon = require("dockerd")
    if os.geteuid() != 0:
        pytest.skip("an engine of its own needs root; set DOCKER_HOST to use another one")
    bridges = f"svc{os.getpid()}-"
    bridge = f"{bridges}0"
    # Engines of tests that run at the same time need networks of their own. RFC 2544 keeps this one for tests.
    network = [*IPv4Network("198.18.0.0/15").subnets(new_prefix=22)][os.getpid() % 128]
    own, pool = network.subnets()
    with tempfile.TemporaryDirectory(prefix="docker-") as directory:
        subprocess.run([require("ip"), "link", "add", "name", bridge, "type", "bridge"], check=True)
        subprocess.run(["ip", "address", "add", f"{own[1]}/{own.prefixlen}", "dev", bridge], check=True)
        # It has separate folders, and adds no firewall rules, which would outlive it.
        host = f"unix://{directory}/socket"
        options = {
            "host": host,
            "data-root": f"{directory}/data",
            "exec-root": f"{directory}/exec",
            "pidfile": f"{directory}/pid",
            "bridge": bridge,
            "default-address-pool": f"base={pool},size=26",
            **dict.fromkeys(("iptables", "ip6tables", "ip-forward", "ip-masq"), "false"),
            "default-ulimit": "nofile=20000:20000",
        }
        command = [str(daemon), *(f"--{name}={value}" for name, value in options.items())]
        log = Path(directory) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            with contextlib.ExitStack() as until_end:
                started_engine = Engine(host, until_end, bridges)
                wait_until(lambda: _answers(started_engine, process, log), "the engine answers", deadline=60)
                yield started_engine
        finally:
            process.terminate()
            process.wait(DEADLINE)
            subprocess.run(["ip", "link", "delete", bridge], check=True)


def _answers(engine: Engine, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return engine.answers()
