"""Only the operator reads and changes what the management address has. Probes are answered to everybody."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from flask_ops.core.draining import DRAIN
from flask_ops.core.http import Request, Response
from flask_ops.core.settings import Settings
from flask_ops.health import Result, Status
from flask_ops.health.readiness import Readiness
from flask_ops.management.routes import Management
from observability import programs
from tests.management.chromium import REBOUND, chromium
from tests.ports import free_port
from tests.process import BIN, DEADLINE, PROJECT, REPOSITORY, clean_environ, started, wait_until
from tests.programs import require
from tests.servers import COMMANDS, serve

TOKEN = "correct-horse.battery~staple"
BEARER = {"authorization": f"Bearer {TOKEN}"}
BASIC = {"authorization": "Basic " + base64.b64encode(f"any:{TOKEN}".encode()).decode()}
READS = ("/", "/status", "/status/page.js", "/metrics", "/info", "/loglevel", "/nope")
PROBES = ("/livez", "/readyz")
CHANGES = (("/drain", "POST"), ("/resume", "POST"), ("/loglevel", "PUT"))


def management(**environ: str) -> Management:
    checks = {"storage": Result("storage", Status.OK)}
    settings = Settings.from_environ({f"SERVICE_MANAGEMENT_{name}": value for name, value in environ.items()})
    return Management(settings, lambda: None, lambda _: Readiness(Status.OK, checks), dict, dict, server="gunicorn")


def ask(
    of: Management, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Response:
    found = of.answer(Request(method, path, "", {"host": "localhost:8001", **(headers or {})}, body, "192.0.2.7"))
    return found if isinstance(found, Response) else found.make()


def detail(response: Response) -> str:
    return str(json.loads(response.body)["detail"])


def test_only_known_hosts_may_read_and_probes_are_answered_to_all() -> None:
    """DNS rebinding needs a name of another site as Host."""
    of = management(BIND="Monitor.example:8001", HOSTS="service, *.Internal")
    known = ["localhost", "LOCALHOST:9001", "a.localhost", "127.0.0.1:8001", "10.1.2.3", "[::1]:8001", "[fe80::1]"]
    known += ["monitor.example", "service:8001", "service.", "web1.eu.internal:80"]
    unknown = ["evil.example", "localhost.evil.example", "evil.example:8001", "127.0.0.1.evil.example", "xinternal"]
    unknown += ["internal", "notlocalhost", "127.1", "0x7f000001", "[a]", "", "service.evil.example"]
    for host in known:
        assert 200 == ask(of, "/info", headers={"host": host}).status, host
    for host in unknown:
        for path in READS:
            refused = ask(of, path, headers={"host": host})
            assert 421 == refused.status, (host, path)
            assert "add the name to SERVICE_MANAGEMENT_HOSTS" in detail(refused)
        for path, method in CHANGES:
            assert 421 == ask(of, path, method, {"host": host}).status
        for path in PROBES:
            assert 200 == ask(of, path, headers={"host": host}).status


def test_http_1_0_without_a_host_and_any_host_on_a_unix_socket_are_fine() -> None:
    """No browser sends either."""
    without = Request("GET", "/info", "", {}, b"")
    assert 200 == getattr(management().answer(without), "status", None)
    assert 200 == ask(management(BIND="unix:/run/x"), "/info", headers={"host": "x"}).status


def test_with_a_token_changes_need_it() -> None:
    of = management(TOKEN=TOKEN)
    try:
        for path, method in CHANGES:
            body = b'{"level": null}'
            for headers in (
                {},
                {"authorization": f"Bearer {TOKEN}x"},
                {"authorization": TOKEN},
                {"authorization": "Basic x"},
            ):
                refused = ask(of, path, method, headers, body)
                assert 401 == refused.status
                assert "Authorization: Bearer TOKEN" in detail(refused)
                schemes = [value.partition(" ")[0] for name, value in refused.headers if name == "WWW-Authenticate"]
                assert ["Bearer", "Basic"] == schemes
            for headers in (BEARER, BASIC, {"authorization": f"bearer  {TOKEN}"}):
                assert 200 == ask(of, path, method, headers, body).status
            assert 403 == ask(of, path, method, {**BASIC, "origin": "http://localhost:8001"}, body).status
    finally:
        DRAIN.end()
    for path in READS[:-1]:
        assert 200 == ask(of, path).status


def test_reads_need_it_too_if_wanted_and_probes_then_show_no_details() -> None:
    of = management(TOKEN=TOKEN, TOKEN_READS="true")
    for path in READS:
        assert 401 == ask(of, path).status
        assert ask(of, path, headers=BEARER).status == (404 if path == "/nope" else 200)
        # A page of another site does not have the token, so the host does not matter.
        assert ask(of, path, headers={**BEARER, "host": "evil.example"}).status == (404 if path == "/nope" else 200)
    assert {"status": "ok"} == json.loads(ask(of, "/livez").body) == json.loads(ask(of, "/readyz").body)
    assert {"storage"} == set(json.loads(ask(of, "/readyz", headers=BEARER).body)["checks"])
    assert TOKEN.encode() not in ask(of, "/info", headers=BEARER).body


def test_each_change_is_one_line_with_the_client() -> None:
    of = management()
    logged = []
    for path, method in [("/drain", "POST")] * 2 + [("/resume", "POST")] * 2 + [("/loglevel", "PUT")]:
        with capture_logs() as logs:
            assert 200 == ask(of, path, method, body=b'{"level": null}').status
        logged += [(line["event"], line["client"]) for line in logs]
    assert [(event, "192.0.2.7") for event in ("draining", "serving again", "log level changed")] == logged


def run(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of ``python -m flask_ops``."""
    command = [str(BIN / "python"), "-m", "flask_ops", *arguments]
    environ = {**clean_environ(), **env}
    return subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.system
@pytest.mark.parametrize("name", COMMANDS)
def test_every_server_and_command_works_with_a_token_from_a_file_and_none_shows_it(name: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    env = {"SERVICE_MANAGEMENT_TOKEN_FILE": str(file), "SERVICE_MANAGEMENT_TOKEN_READS": "true"}
    with serve(name, tmp_path, env) as server:
        wait_until(lambda: server.manage("/readyz").status == 200, "ready")
        address = f"http://127.0.0.1:{server.management_port}"
        for path in READS:
            assert 401 == server.manage(path).status
        assert 200 == server.manage("/metrics", headers=BEARER).status
        for path, method in (("/drain", "POST"), ("/resume", "POST"), ("/loglevel", "PUT")):
            assert 401 == server.manage(path, method, body=b'{"level": "debug"}').status
            assert 200 == server.manage(path, method, BEARER, b'{"level": "debug"}').status
        assert "127.0.0.1" == server.line("draining")["client"] == server.line("serving again")["client"]
        assert "127.0.0.1" == server.line("log level changed")["client"]

        bind = {"SERVICE_MANAGEMENT_BIND": f"127.0.0.1:{server.management_port}"}
        alive = run("healthcheck", env={**env, **bind})
        assert (0, "alive\n") == (alive.returncode, alive.stdout)
        url = f"http://127.0.0.1:{server.port}"
        good = run("verify", url, "--management", address, "--json", env=env)
        assert 0 == good.returncode, good.stdout
        bad = run("verify", url, "--management", address, "--json", env={})
        assert 1 == bad.returncode
        assert "Set SERVICE_MANAGEMENT_TOKEN or SERVICE_MANAGEMENT_TOKEN_FILE for this command too." in bad.stdout
        checked = run("check", "tests.sample:create_app()", env={**env, **bind})
        assert TOKEN not in server.text() + good.stdout + bad.stdout + checked.stdout + checked.stderr


@pytest.mark.system
def test_on_a_unix_socket_the_line_of_a_change_has_the_user(tmp_path: Path) -> None:
    path = tmp_path / "management"
    env = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_BIND": f"unix:{path}", "WEB_CONCURRENCY": "1"}
    with started(COMMANDS["gunicorn"], tmp_path, env) as server, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE)
        wait_until(lambda: path.exists() and client.connect_ex(str(path)) == 0, "it listens")
        client.sendall(b"POST /drain HTTP/1.1\r\nHost: any\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert f"uid={os.geteuid()}" == server.line("draining", asked_by="operator")["client"]


@pytest.mark.system
def test_in_a_browser_the_token_is_the_password_and_a_rebound_name_reads_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    env = {"SERVICE_MANAGEMENT_TOKEN": TOKEN, "SERVICE_MANAGEMENT_TOKEN_READS": "true"}
    with serve("gunicorn", tmp_path, env) as server, chromium(tmp_path_factory.mktemp("chromium")) as browser:
        with browser.tab() as tab:
            tab.open(f"http://any:{TOKEN}@127.0.0.1:{server.management_port}/")
            tab.shown("Ready", "#state")
        with browser.tab() as tab:
            tab.open(f"http://{REBOUND}:{server.management_port}/status")
            tab.shown("is not known. Use an IP address or localhost")


def health(port: int) -> dict[str, tuple[str, str]]:
    """Return the health and the last error of each job of a Prometheus."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=DEADLINE) as answer:
        targets = json.load(answer)["data"]["activeTargets"]
    return {each["labels"]["job"]: (each["health"], each["lastError"]) for each in targets}


@pytest.mark.system
def test_prometheus_scrapes_with_the_token_as_its_configuration_shows(tmp_path: Path) -> None:
    require("prometheus")
    comment = (REPOSITORY / "observability" / "prometheus.yml").read_text().partition("    # authorization:\n")[2]
    (option,) = yaml.safe_load(comment.partition("\n\n")[0].replace("    # ", ""))
    (tmp_path / "token").write_text("not yet the token")
    env = {"SERVICE_MANAGEMENT_TOKEN": TOKEN, "SERVICE_MANAGEMENT_TOKEN_READS": "true"}
    with serve("gunicorn", tmp_path, env) as server:
        targets = [{"targets": [f"127.0.0.1:{server.management_port}"]}]
        jobs: list[dict[str, Any]] = [
            {"job_name": "with", "static_configs": targets, "authorization": {option: str(tmp_path / "token")}},
            {"job_name": "without", "static_configs": targets},
        ]
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        port = free_port()
        running = programs.Program(programs.prometheus(tmp_path, port), tmp_path / "log")
        try:
            running.wait_for(f"http://127.0.0.1:{port}/-/ready")
            wait_until(
                lambda: [*health(port).values()] == [("down", "server returned HTTP status 401 Unauthorized")] * 2,
                "401",
            )
            (tmp_path / "token").write_text(TOKEN)
            wait_until(lambda: health(port)["with"] == ("up", ""), "Prometheus reads the file again")
            assert "down" == health(port)["without"][0]
        finally:
            running.stop()
