"""The image, built and run by a real Docker engine as in the README, alone and with compose.yaml."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flask_ops.core.settings import Settings
from tests import sample
from tests.process import BIN, DEADLINE, REPOSITORY, clean_environ, wait_until
from tests.programs import outcome
from tests.repository import names
from tests.repository.deploy import base_image
from tests.repository.deploy.compose import Stack, stack
from tests.repository.deploy.docker import Engine, engine
from tests.repository.deploy.proxies import NAME
from tests.repository.guides import blocks, commands, tutorial, write
from tests.verify.verifying import reach, verify

pytestmark = pytest.mark.timeout(300)  # the first test builds the image: 18 s on an idle machine, 60 s on a busy one
DEFAULTS = Settings.from_environ({})
STOP = ("stop", "--time=45")
SAMPLE = ("gunicorn", "tests.sample:create_app()")
SHOW = """
import contextlib, pathlib
for path in pathlib.Path("/proc").glob("[0-9]*/status"):
    with contextlib.suppress(OSError):  # it has just ended
        status = path.read_text()
        if path.parent.name == "1" or "\\nPPid:\\t0\\n" not in status:
            print(status)
"""
"""All processes but those that Docker adds for a while, such as a check. They start as root, and have no parent."""
FIELDS = ("Uid", "Gid", "CapEff", "NoNewPrivs")
TESTS = Path(sample.__file__).parent
WITH_SAMPLE = (f"--volume={TESTS}:/srv/service/tests:ro", f"--volume={TESTS}/project/service:/srv/service/service:ro")
"""The sample application, and the service that it extends, in place of the template's."""
AT_ONCE = "--env=SERVICE_DRAIN_SECONDS=0"
"""No test waits for a drain that it does not check."""


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with engine() as started:
        yield started


@pytest.fixture(scope="module")
def image(docker: Engine) -> Iterator[str]:
    with docker.image(version="1.2.3-test") as tag:
        yield tag


def test_hadolint_finds_nothing() -> None:
    assert (0, "") == outcome(BIN / "hadolint", "Dockerfile", cwd=REPOSITORY)


def test_the_image_says_how_it_is_run(docker: Engine, image: str) -> None:
    config = docker.inspect(image)["Config"]

    assert "10001:10001" == config["User"]
    assert ["gunicorn"] == config["Cmd"]
    assert not config["Entrypoint"]
    assert "SIGTERM" == config["StopSignal"]
    assert DEFAULTS.management_bind is not None
    assert {f"{DEFAULTS.bind.port}/tcp", f"{DEFAULTS.management_bind.port}/tcp"} == set(config["ExposedPorts"])
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert ("1.2.3-test", "MIT") == (labels["version"], labels["licenses"])


def test_the_image_holds_the_locked_packages_the_service_and_nothing_else(docker: Engine, image: str) -> None:
    show = "import os, importlib.metadata as m; print(*os.listdir()); print(*sorted(d.name for d in m.distributions()))"
    shown = docker.run("run", "--rm", "--network=none", image, "python", "-c", show).splitlines()
    files, packages = ({*line.split()} for line in shown)

    assert {"service", "gunicorn.conf.py"} == files
    locked = set(re.findall(r"^([a-z0-9-]+)==", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE))
    assert locked | {"flask-ops"} == {name.lower().replace("_", "-") for name in packages}


def test_it_serves_without_root_without_capabilities_and_without_a_disk(
    docker: Engine, image: str, tmp_path: Path
) -> None:
    """A hangup replaces its workers. `docker stop` lets requests in flight finish."""
    options = (*WITH_SAMPLE, "--health-interval=1s", "--env=SERVICE_DRAIN_SECONDS=1")
    with docker.serving(image, tmp_path, *options, command=SAMPLE) as container, ThreadPoolExecutor(4) as pool:
        server = container.server
        assert 200 == server.get("/healthz").status
        assert 'version="1.2.3-test"' in server.get("/metrics").body.decode()
        status = docker.run("exec", container.name, "python", "-c", SHOW)
        fields = {name: set(re.findall(rf"^{name}:\s*(.*)$", status, re.MULTILINE)) for name in FIELDS}
        user = "\t".join(["10001"] * 4)
        assert {"Uid": {user}, "Gid": {user}, "CapEff": {"0" * 16}, "NoNewPrivs": {"1"}} == fields
        wait_until(lambda: docker.health(container)["Status"] == "healthy", "healthy")

        def workers() -> set[int]:
            answers = [server.get("/whoami") for _ in range(20)]
            assert {200} == {answer.status for answer in answers}, answers
            return {answer.json()["pid"] for answer in answers}

        before = workers()
        docker.run("kill", "--signal=HUP", container.name)
        wait_until(lambda: workers().isdisjoint(before), "other workers serve")
        assert [] == server.lines(level="warning") + server.lines(level="error")

        requests = [pool.submit(server.get, "/slow?s=2") for _ in range(4)]
        wait_until(lambda: len(server.lines("slow view")) == 4, "the requests are being served")
        docker.run(*STOP, container.name, timeout=60)
        assert [200] * 4 == [request.result(DEADLINE).status for request in requests]
        assert 0 == server.process.wait(DEADLINE)


def test_the_health_check_says_why_a_container_is_not_healthy(docker: Engine, image: str, tmp_path: Path) -> None:
    # Without --init, a stop signal reaches process 1 alone.
    hasty = ("--health-interval=1s", "--health-start-period=1s", "--health-retries=1", "--init=false", AT_ONCE)
    with docker.serving(image, tmp_path, *hasty) as container:
        wait_until(lambda: docker.health(container)["Status"] == "healthy", "healthy")
        docker.run("kill", "--signal=STOP", container.name)

        wait_until(lambda: docker.health(container)["Status"] == "unhealthy", "unhealthy", deadline=30)
        assert "0.0.0.0:8001/livez does not answer: timed out" in str(docker.health(container)["Log"])
        docker.run("kill", "--signal=CONT", container.name)


def test_a_start_that_must_fail_ends_the_container_with_its_own_code(
    docker: Engine, image: str, tmp_path: Path
) -> None:
    """The codes are 78 for invalid settings, and 73 if no place for the metrics store is writable."""
    with docker.container(image, tmp_path, "--env=SERVICE_THREADS=many") as container:
        assert 78 == container.server.process.wait(DEADLINE)
        line = container.server.line("settings cannot be used")
        assert ["SERVICE_THREADS is 'many', expected a whole number from 1 to 1000"] == line["problems"]
    with docker.container(image, tmp_path, "--tmpfs=/tmp:ro") as container:
        assert 73 == container.server.process.wait(DEADLINE)
        assert "No usable temporary directory" in container.server.line("metrics store cannot be written")["reason"]


def test_a_stop_right_after_the_start_is_obeyed(docker: Engine, image: str, tmp_path: Path) -> None:
    """In a container, the kernel drops signals to process 1 until it has a handler."""
    with docker.container(image, tmp_path) as container:
        wait_until(lambda: docker.run("ps", "--quiet", f"--filter=name={container.name}"), "it is started")
        docker.run("kill", "--signal=TERM", container.name)

        # 143 if Gunicorn has not started yet.
        assert container.server.process.wait(DEADLINE) in {0, 128 + signal.SIGTERM}


def test_check_in_the_image_finds_what_is_wrong_and_nothing_else(docker: Engine, image: str, tmp_path: Path) -> None:
    verdicts = {
        45: (0, "ok", "and the supervisor allows 45 s."),
        10: (1, "error", "but the supervisor kills it after 10 s."),
    }
    for grace, (code, severity, end) in verdicts.items():
        folder = tmp_path / str(grace)
        folder.mkdir()
        command = ("python", "-m", "service", "check", f"--grace={grace}")
        with docker.container(image, folder, command=command) as container:
            assert code == container.server.process.wait(DEADLINE)
            table = container.server.text()

        expected = f"{severity} grace A stop may take 35 s (5 of drain, 30 for requests in flight), {end}"
        assert expected in " ".join(table.split())
        assert code == len(re.findall("^error ", table, re.MULTILINE))
        assert "ok       store        /tmp is in memory (tmpfs)" in table


@pytest.mark.usefixtures("image")
def test_the_tutorial_builds_a_container_and_compose_accepts_its_monitoring(docker: Engine, tmp_path: Path) -> None:
    """The images of Prometheus, Alertmanager and Grafana are not run: a test has no network.

    The builder has the layers of ``image`` with the dependencies.
    """
    page = REPOSITORY / "docs" / "tutorial.md"
    folder = tutorial(tmp_path / "copy")
    for name, code in blocks(page, "python"):
        write(folder, name, code)
    build, monitor = commands(page.read_text().partition("## 5.")[2])
    words = build.split()
    assert ["docker", "build", "--tag", "service", "."] == words
    with docker.image("tutorial", folder) as built, docker.serving(built, tmp_path) as container:
        assert {"placed": True} == container.server.request("POST", "/orders").json()

    assign, *words = monitor.split()
    assert ["docker", "compose", "-f", "observability/compose.yaml", "up", "--build"] == words
    (name, value) = assign.split("=")
    command = ("docker-compose", *words[2:4], "config", "--quiet")
    returned, output = outcome(*command, cwd=folder, env={**clean_environ(), name: value})
    assert 0 == returned, output


@pytest.fixture(scope="module")
def composed(docker: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with (
        docker.imported("nginx", base_image.make_nginx) as proxy,
        stack(docker, image, proxy, tmp_path_factory.mktemp("compose")) as running,
    ):
        yield running


def test_the_composed_service_passes_verify(composed: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name, the certificate and the one instance are those in the configuration of its nginx."""
    reach(monkeypatch, composed.certificate)
    url, management = f"https://{NAME}:{composed.port(443)}", f"http://{composed.address(names.COMPOSE, 'inside')}:8001"
    found = verify(url, f"--management={management}", "--public", "--wait=20")

    assert (0, []) == (found.code, found.bad())
    assert ["They count exactly the 10 requests made here."] == found.texts("metrics", "ok")

    def clients() -> set[str]:
        lines = [json.loads(line) for line in composed.log(names.COMPOSE).splitlines()]
        return {line["client"] for line in lines if line["event"] == "request"}

    assert {composed.gateway("outside")} == wait_until(clients, "a line"), "whoever asks nginx, and not nginx itself"


def test_the_composed_service_has_one_name_and_is_behind_nginx_only(
    composed: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(monkeypatch, composed.certificate)
    context = ssl.create_default_context(cafile=composed.certificate)
    client = http.client.HTTPSConnection(NAME, composed.port(443), timeout=DEADLINE, context=context)
    with contextlib.closing(client):
        client.request("GET", "/", headers={"Host": "other.example"})
        answer = client.getresponse()

    assert (421, "application/problem+json") == (answer.status, answer.headers["Content-Type"])
    assert {} == {port: to for port, to in composed.inspect(names.COMPOSE)["NetworkSettings"]["Ports"].items() if to}
    for name in (names.COMPOSE, "proxy"):
        host = composed.inspect(name)["HostConfig"]
        assert (True, ["ALL"]) == (host["ReadonlyRootfs"], host["CapDrop"])


def test_compose_stop_ends_both_with_0(composed: Stack) -> None:
    composed.run("stop")

    assert [0, 0] == [composed.inspect(name)["State"]["ExitCode"] for name in (names.COMPOSE, "proxy")]
