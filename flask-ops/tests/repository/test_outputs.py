"""The output that pages show, compared with the output of the same commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.copies import copy_service
from tests.process import BIN, DEADLINE, REPOSITORY, Server, clean_environ, running
from tests.programs import require

PAGES = ("README.md", "docs/reference.md", "docs/releases.md", "docs/operations.md")
"""In this order: the README counts requests from the start, and the last page drains."""
TOKEN = "0123456789abcdef"
(NAME,) = re.findall(r'Settings, name="(.+?)"', (REPOSITORY / "service" / "settings.py").read_text())
"""The name that `make name` gave to the service, and that its pages show."""
MASKS = {
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}": "ID",
    r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT": "DATE",
    r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z": "TIME",
    r"\d+\.\d{5,}": "SECONDS",
    r'"duration_ms":[\d.]+': '"duration_ms":MS',
    r'"queue_ms":[\d.]+,': "",
    r"curl/[\d.]+": "curl/VERSION",
    # The body of `curl /` has the service's name, which `make name` changes. Other tests prove the lengths.
    r"Content-Length: \d+": "Content-Length: LENGTH",
    r'"bytes":\d+': '"bytes":LENGTH',
    r"127\.0\.0\.1:\d+|localhost:\d+": "ADDRESS",
    r"\d+ CPUs": "N CPUs",
    r"WEB_CONCURRENCY=\d+": "WEB_CONCURRENCY=N",
}


def masked(text: str) -> str:
    for pattern, name in MASKS.items():
        text = re.sub(pattern, name, text)
    return text


def outputs(page: Path) -> list[tuple[str, str]]:
    """Return the commands of a page that it shows with their output."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    found = [part for block in blocks for part in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)]
    return [(command, output) for command, output in found if output]


def run(command: str, server: Server, folder: Path) -> str:
    """Run a command with the ports of the server, and return what it prints."""
    ports = command.replace(":8000", f":{server.port}").replace(":8001", f":{server.management_port}")
    path = f"{BIN}:{clean_environ()['PATH']}"
    environ = {**clean_environ(), "PATH": path, "COLUMNS": "110", "SERVICE_BIND": "127.0.0.1:0", "SERVICE_NAME": NAME}
    return subprocess.run(
        ["/bin/sh", "-c", ports], cwd=folder, env=environ, capture_output=True, text=True, timeout=DEADLINE, check=False
    ).stdout


def test_each_output_on_a_page_is_that_of_its_command(tmp_path: Path) -> None:
    require("curl")
    folder = copy_service(tmp_path / "copy")
    (folder / "service-token").write_text(f"{TOKEN}\n")
    readme = (REPOSITORY / "README.md").read_text()
    adopted = not readme.startswith("# A Flask service for production\n")
    environ = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MANAGEMENT_TOKEN": TOKEN, "SERVICE_NAME": NAME}

    with running([BIN / "gunicorn"], tmp_path, environ, cwd=folder, ready="/healthz") as server:
        for name in PAGES[adopted:]:
            shown = outputs(REPOSITORY / name)
            assert shown, name
            for command, output in shown:
                real = masked(run(command, server, folder))
                wanted = masked(output)
                # `check` continues with notes, which depend on the machine.
                assert wanted == (real[: len(wanted)] if " check " in command else real), (name, command, real)
        if not adopted:
            (line,) = re.findall(r"```json\n(.*?\n)```", readme, re.DOTALL)
            first = next(each for each in server.text().splitlines() if '"path":"/"' in each)
            assert masked(line) == masked(f"{first}\n")


def test_no_other_page_shows_output() -> None:
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]

    assert {*PAGES} >= {page.relative_to(REPOSITORY).as_posix() for page in pages if outputs(page)}
