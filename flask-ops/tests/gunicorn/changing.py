"""A copy of the service whose code changes while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.exposition import value
from tests.process import BIN, Server, running, wait_until

ENV = {"SERVICE_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2"}
BROKEN = "import a_module_that_does_not_exist\n"
HANGS = "import threading\nthreading.Event().wait()\n"
IN_WORKERS = "import os\nif 'trial' not in os.environ['PROMETHEUS_MULTIPROC_DIR']:\n    "
"""The beginning of a line that a trial does not run."""
FORKS_NOTHING_IF_TOLD = """
import errno, os
from pathlib import Path

fork = os.fork

def fork_or_not():
    if Path("no-more").exists():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()

def when_ready(server):
    os.fork = fork_or_not
"""


@contextmanager
def serving(copy: Path, directory: Path, options: tuple[str, ...] = (), **env: str) -> Iterator[Server]:
    """Run the copy during the block, which begins when both workers serve."""
    with running([BIN / "gunicorn", *options], directory, {**ENV, **env}, cwd=copy) as server:
        wait_until(lambda: metric(server, "service_worker_threads") == 8, "both workers have loaded the code")
        yield server


def workers(server: Server) -> set[int]:
    return {child.pid for child in server.children()}


def metric(server: Server, name: str, **labels: str) -> float:
    return value(server.manage("/metrics").body.decode(), name, **labels)
