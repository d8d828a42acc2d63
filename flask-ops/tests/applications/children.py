"""An application whose views start child processes in every way. The children count, and touch a gauge."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache

from flask import Flask
from prometheus_client import Counter, Gauge

JOBS = Counter("jobs", "Jobs that were done.")
STOCK = Gauge("stock", "The smallest stock that a worker has seen.", multiprocess_mode="livemin")
LEVEL = Gauge("level", "The level that was set last.", multiprocess_mode="mostrecent")
STOCK.set(7)

app = Flask(__name__)

if "CHILDREN_WITH_OPS" in os.environ:
    from flask_ops import Ops

    Ops(app)

_IMPORT = "from tests.applications.children import job; job()"
_PLAIN = "from prometheus_client import Counter; Counter('jobs', 'Jobs that were done.').inc()"


def job(_number: int = 0) -> int:
    """Do one job in a child process; return its pid."""
    JOBS.inc()
    STOCK.set(-1)
    return os.getpid()


def allow_sigchld() -> None:
    """Unblock the signal of ended children for the forkserver: it inherits that uWSGI's threads block all signals."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


@cache
def pool(start: str) -> ProcessPoolExecutor:
    """Return the pool of two processes that this worker keeps."""
    allow_sigchld()
    return ProcessPoolExecutor(2, multiprocessing.get_context(start))


@app.get("/pool/<start>/<int:jobs>")
def in_pool(start: str, jobs: int) -> list[int]:
    LEVEL.set(jobs)
    return list(pool(start).map(job, range(jobs)))


@app.get("/process/<start>/<int:jobs>")
def in_processes(start: str, jobs: int) -> str:
    allow_sigchld()
    context = multiprocessing.get_context(start)
    children = [context.Process(target=job) for _ in range(jobs)]  # type: ignore[attr-defined] # of every context
    for child in children:
        child.start()
    for child in children:
        child.join()
    return str(sum(child.exitcode == 0 for child in children))


@app.get("/program/<kind>/<int:jobs>")
def in_programs(kind: str, jobs: int) -> str:
    script = {"import": _IMPORT, "plain": _PLAIN}[kind]
    children = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(jobs)]
    return str(sum(child.wait() == 0 for child in children))
