"""The service under load while nothing reads its log: standard output is a full pipe."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.exposition import value
from tests.process import BIN, DEADLINE, PROJECT, clean_environ, wait_until

pytestmark = pytest.mark.system

SECONDS = float(os.environ.get("STALLED_SECONDS", "3"))
CLIENTS = 4
ROUNDS = 4


class Reader:
    """A reader of the pipe that can stop reading."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor, self._path = descriptor, path
        self._reads = threading.Event()
        self._reads.set()
        self._gone = False
        path.touch()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stall(self) -> None:
        self._reads.clear()

    def go_on(self) -> None:
        self._reads.set()

    def leave(self) -> None:
        """Read the next data, then close the pipe."""
        self._gone = True

    def lines(self) -> list[dict[str, Any]]:
        """Return the whole lines read so far."""
        return [json.loads(line) for line in self._path.read_bytes().split(b"\n")[:-1]]

    def wait(self) -> None:
        """Wait for the end of the pipe."""
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with self._path.open("ab", buffering=0) as file:
            while self._reads.wait() and not self._gone and (data := os.read(self._descriptor, 65536)):
                file.write(data)
        os.close(self._descriptor)


class Served:
    """A server that writes into a pipe."""

    def __init__(self, process: subprocess.Popen[bytes], reader: Reader) -> None:
        self.process, self.reader = process, reader
        listening = wait_until(lambda: self.line("Listening at: ") or {}, "the address")
        self.port = int(re.findall(r":(\d+) ", listening["event"])[0])
        management = wait_until(lambda: self.line("management listening") or {}, "the management address")
        self.management_port = int(management["address"].rpartition(":")[2])

    def line(self, event: str) -> dict[str, Any] | None:
        return next((line for line in self.reader.lines() if line["event"].startswith(event)), None)

    def dropped(self) -> float:
        connection = http.client.HTTPConnection("127.0.0.1", self.management_port, timeout=DEADLINE)
        try:
            connection.request("GET", "/metrics")
            return value(connection.getresponse().read().decode(), "service_log_lines_dropped_total")
        finally:
            connection.close()

    def workers(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def stop(self) -> None:
        self.process.terminate()
        assert 0 == self.process.wait(DEADLINE)
        self.reader.wait()


@contextmanager
def serving(directory: Path, **env: str) -> Iterator[Served]:
    descriptor, writer = os.pipe()
    ours = {
        "SERVICE_BIND": "127.0.0.1:0",
        "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0",
        "SERVICE_DRAIN_SECONDS": "0",
        "WEB_CONCURRENCY": "2",
        "TMPDIR": str(directory),
    }
    process = subprocess.Popen(
        [BIN / "gunicorn", "tests.log.noise:create_app()"],
        cwd=PROJECT,
        env={**clean_environ(), **ours, **env},
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.STDOUT,
    )
    os.close(writer)
    reader = Reader(descriptor, directory / "read")
    try:
        yield Served(process, reader)
    finally:
        reader.go_on()
        if process.poll() is None:
            family = psutil.Process(process.pid).children()
            process.terminate()
            try:
                process.wait(DEADLINE)
            finally:
                process.kill()
                for child in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
        reader.wait()


def load(served: Served, seconds: float, path: str = "/") -> list[float]:
    """Send requests from several threads for ``seconds``, and return the sorted latencies. Each status must be 200."""
    end = time.monotonic() + seconds
    latencies: list[float] = []
    faults: list[object] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=DEADLINE)
        while time.monotonic() < end:
            begin = time.perf_counter()
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    faults.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                faults.append(error)
                connection.close()
            latencies.append(time.perf_counter() - begin)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == faults
    return sorted(latencies)


def p99(latencies: list[float]) -> float:
    """Return the 99th percentile in milliseconds."""
    return 1000 * latencies[int(len(latencies) * 0.99)]


def plain_and_stalled(served: Served) -> tuple[list[float], list[float]]:
    """Return the latencies with a reading and then with a stalled reader, which stays stalled."""

    def keeps_up() -> bool:
        before = served.dropped()
        load(served, 0.2)
        return before == served.dropped()

    served.reader.go_on()
    wait_until(keeps_up, "a reader that is back")
    lost = served.dropped()
    plain = load(served, SECONDS)
    assert lost == served.dropped()
    served.reader.stall()
    wait_until(lambda: load(served, 0.2) and served.dropped() > lost, "a pipe and a buffer that are full")
    return plain, load(served, SECONDS)


def told(lines: list[dict[str, Any]]) -> int:
    return sum(line["lines"] for line in lines if line["event"] == "log lines dropped")


def test_a_reader_that_stalls_fails_and_slows_no_request(tmp_path: Path) -> None:
    """It does not affect scrapes or the master either.

    Dropped lines are counted, and reported when the reader is back.
    """
    with serving(tmp_path, SERVICE_LOG_BUFFER_BYTES=str(2**18)) as served:
        load(served, 0.5)
        for _ in range(ROUNDS):  # a busy machine slows one half of a round, a log that blocks slows all rounds
            plain, stalled = plain_and_stalled(served)
            figures = f"{len(plain)} requests, p99 {p99(plain):.2f} ms; stalled {len(stalled)}, {p99(stalled):.2f} ms"
            print(figures)  # noqa: T201 - quoted
            if p99(stalled) < 2 * p99(plain):
                break
        else:
            raise AssertionError(figures)
        before = served.workers()
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(served.workers() - before) == 1, "the master to replace a worker")
        lost = served.dropped()
        # The killed worker may have served all connections.
        wait_until(lambda: load(served, 0.2) and served.dropped() > lost, "drops of who can tell of them")
        served.reader.go_on()
        wait_until(lambda: served.line("log lines dropped"), "the report")
        load(served, 0.2)
        # Workers publish their counts twice a second. The killed worker cannot report its own.
        wait_until(lambda: 0 < told(served.reader.lines()) <= served.dropped(), "all that is told is counted")
        counted = served.dropped()
        served.stop()
        lines = served.reader.lines()

    assert told(lines) <= counted
    assert "log lines dropped" not in [line["event"] for line in lines[-10:]]


def test_in_the_ordinary_case_every_request_has_its_line(tmp_path: Path) -> None:
    """Several processes write into one pipe and stop. No line is lost, doubled or torn."""
    with serving(tmp_path) as served:
        latencies = load(served, SECONDS)
        served.stop()
        lines = served.reader.lines()

    requests = [line["request_id"] for line in lines if line["event"] == "request"]
    assert len(latencies) == len(requests) == len(set(requests))
    assert [] == [line for line in lines if line["event"] == "log lines dropped"]


def test_no_line_on_a_pipe_is_longer_than_it_takes_at_once(tmp_path: Path) -> None:
    """All workers write long tracebacks and large values at once. Each line is whole, and has its last frames."""
    with serving(tmp_path, SERVICE_LOG_BUFFER_BYTES=str(2**26)) as served:  # even a busy machine does not fill it
        load(served, 0.3, "/noise")
        latencies = load(served, 0.5, "/large")
        served.stop()
        large = [line for line in served.reader.lines() if line["event"] == "large"]

    assert max(len(line) + 1 for line in (tmp_path / "read").read_bytes().split(b"\n")) <= 4096
    assert len(latencies) == len(large)
    assert {"exception", "body"} == {name for line in large for name in line["shortened"]}
    assert {"bottom"} == {line["exception"][0]["frames"][-1]["name"] for line in large}


def test_a_reader_that_is_gone_fails_no_request(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        served.reader.leave()
        load(served, 0.5)
        served.reader.wait()
        before = served.dropped()
        answered = load(served, 0.5)
        wait_until(lambda: served.dropped() >= before + len(answered), "all of them dropped and counted")
        served.stop()
