from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from tests.process import BIN, DEADLINE, Server, running, started
from tests.servers import COMMANDS

pytestmark = pytest.mark.system

if sys.platform != "linux":
    pytest.skip("reads /proc", allow_module_level=True)

CLOSING = {"output": ">&-", "error": "2>&-", "all": "<&- >&- 2>&-"}


def descriptors(server: Server) -> list[str]:
    """Return the files behind the standard descriptors of each process; those of Gunicorn's workers are pipes."""
    processes = [psutil.Process(server.process.pid), *server.children()]
    found = [str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) for process in processes for number in range(3)]
    return [file for file in found if not file.startswith("pipe:")]


@pytest.mark.parametrize("closed", CLOSING)
@pytest.mark.parametrize("name", ["gunicorn", "waitress"])
def test_a_closed_stream_is_no_other_file(name: str, closed: str, tmp_path: Path) -> None:
    """The service's own files, such as the metrics store and the sockets, must not get these three numbers."""
    command: list[str | Path] = ["sh", "-c", f'exec "$0" "$@" {CLOSING[closed]}', *COMMANDS[name]]
    with running(command, tmp_path, {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2"}) as server:
        found = descriptors(server)
        assert 0 == server.stop()

    output = str(tmp_path / "output")
    expected = {"output": ["/dev/null", output], "error": ["/dev/null", output], "all": ["/dev/null"]}
    assert set(expected[closed]) == set(found)


def test_output_to_a_closed_stream_vanishes(tmp_path: Path) -> None:
    command: list[str | Path] = ["sh", "-c", 'exec "$0" "$@" >&-', BIN / "python", "-m", "service", "check"]
    with started(command, tmp_path) as server:
        server.process.wait(DEADLINE)

    assert "" == server.text()
