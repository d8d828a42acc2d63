from __future__ import annotations

import collections
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.process import DEADLINE, PROJECT, Server, wait_until

pytestmark = pytest.mark.system

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

PREAMBLE = """
import importlib, json, logging, os, signal, subprocess, sys, threading, time, warnings
warnings.filterwarnings("ignore", message=".*fork.*")  # Python 3.12 warns of what this test is about
from pathlib import Path
from prometheus_client import CollectorRegistry, Counter, generate_latest
from flask_ops.core import forks
from flask_ops.core.address import Address
from flask_ops.core.http import Response
from flask_ops.management.listener import Listener

warnings.simplefilter("error", ResourceWarning)

def say(event, **fields):
    os.write(1, json.dumps({"event": event, **fields}).encode() + b"\\n")

def exit_code(child, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"

def descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return {number: what for number, what in found.items() if what.startswith(("socket:", "anon_inode:"))}

def serve(handler):
    listener = Listener.bind(Address("127.0.0.1", 0), handler)
    listener.start()
    say("listening", port=listener.address.port)
    return listener
"""

FORKS = int(os.environ.get("FORKS", "60"))
"""`make test-long` sets 300."""
STORM = """
sys.path.insert(0, sys.argv[1])
Path(sys.argv[1], "nasty.py").write_text("import time\\ntime.sleep(0.001)\\n")
if sys.argv[2] == "ungated":
    forks.ForkGate._before_fork = lambda self: None
logging.basicConfig(stream=sys.stderr, format="%(message)s")
registry = CollectorRegistry()
counters = [Counter(f"c{number}", "help", registry=registry) for number in range(50)]

def be_nasty(who):
    sys.modules.pop("nasty", None)
    importlib.import_module("nasty")
    logging.getLogger(who).warning("a line of %s", who)
    sys.stderr.write(f"another line of {who}\\n" * 20)
    for counter in counters:
        counter.inc()
    return generate_latest(registry)

listener = serve(lambda request: Response(200, be_nasty("listener")))
ends, longest = {}, 0.0
for _ in range(int(sys.argv[3])):
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        be_nasty("child")
        left = {number for number in descriptors() if number != listener.fileno()}
        assert not left, left
        sys.exit(0)
    longest = max(longest, time.monotonic() - start)
    code = exit_code(child, float(sys.argv[4]))
    ends[code] = ends.get(code, 0) + 1
say("forked", ends={str(code): count for code, count in ends.items()}, longest=longest)
sys.stdin.read()
listener.stop()
"""

COMMANDS = """
listener = serve(lambda request: Response(200))
for command in sys.stdin:
    if command == "fork\\n":
        child = os.fork()
        if child == 0:
            say("child", pid=os.getpid(), descriptors=sorted(descriptors()), listening=listener.fileno())
            time.sleep(60)
            os._exit(1)
    if command == "stop\\n":
        listener.stop()
        say("stopped")
os.kill(child, signal.SIGKILL)
"""

GENERATIONS = """
def handler(request):
    return Response(200, str(os.getpid()).encode())

listener = serve(handler)
if os.fork() == 0:
    listener.start()  # a thread of its own on the socket of both
    say("child", pid=os.getpid())
    grandchild = os.fork()
    if grandchild == 0:
        listener.close_in_child()
        own = Listener.bind(Address("127.0.0.1", 0), handler)
        own.start()
        say("grandchild", pid=os.getpid(), port=own.address.port, shared=listener.fileno())
        sys.stdin.read()
        own.stop()
        sys.exit(0)
    code = exit_code(grandchild, 30)
    listener.stop()
    sys.exit(code)
child_code = os.wait()[1]
listener.stop()
code = os.fork() or os._exit(0)
say("ended", code=child_code, after_stop=exit_code(code))
"""

STUCK = """
forks.FORK_SECONDS = 0.3
lock, entered = threading.Lock(), threading.Event()

def handler(request):
    entered.set()
    with lock:
        return Response(200)

listener = serve(handler)
with lock:
    entered.wait()
    child = os.fork()
    if child == 0:
        os._exit(0)
say("ended", code=exit_code(child))
sys.stdin.read()
listener.stop()
"""

FORKING_HANDLER = """
def handler(request):
    child = os.fork()
    if child == 0:
        os._exit(7)
    subprocess.run(["true"], preexec_fn=os.getpid, check=True)
    return Response(200, str(exit_code(child)).encode())

listener, other = serve(handler), serve(handler)
sys.stdin.read()
listener.stop()
other.stop()
"""


@contextlib.contextmanager
def script(code: str, directory: Path, *arguments: object) -> Iterator[Server]:
    """Run a script that ends when its standard input closes; a failure shows its output."""
    output = directory / "output"
    command = [sys.executable, "-c", PREAMBLE + code, *(str(argument) for argument in arguments)]
    with (
        output.open("ab") as file,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file, cwd=PROJECT) as process,
    ):
        try:
            yield Server(process, output)
            assert process.stdin is not None
            process.stdin.close()
            assert 0 == process.wait(DEADLINE)
        except BaseException as error:
            error.add_note(f"--- the script wrote:\n{output.read_text()[-5000:]}")
            raise
        finally:
            process.kill()


def tell(server: Server, command: str) -> None:
    assert server.process.stdin is not None
    server.process.stdin.write(command.encode() + b"\n")
    server.process.stdin.flush()


def answer(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        connection.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def body(port: int) -> str:
    return answer(port).partition(b"\r\n\r\n")[2].decode()


class Hammer(threading.Thread):
    """A client that repeats a request, and records the statuses and the longest response time."""

    def __init__(self, port: int, ended: threading.Event) -> None:
        super().__init__()
        self.port, self.ended = port, ended
        self.statuses: collections.Counter[bytes] = collections.Counter()
        self.longest = 0.0

    def run(self) -> None:
        connection = socket.create_connection(("127.0.0.1", self.port), DEADLINE)
        with connection, connection.makefile("rb") as file:
            while not self.ended.wait(0.002):
                start = time.monotonic()
                connection.sendall(GET)
                self.statuses[file.readline()[:12]] += 1
                length = 0
                while (line := file.readline()) not in {b"\r\n", b""}:
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                file.read(length)
                self.longest = max(self.longest, time.monotonic() - start)


def test_children_forked_from_a_busy_listener_all_end_and_it_answers_all_the_time(tmp_path: Path) -> None:
    with script(STORM, tmp_path, tmp_path, "gated", FORKS, 20) as server:
        ended = threading.Event()
        port = server.line("listening")["port"]
        clients = [Hammer(port, ended) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            forked = wait_until(lambda: server.lines("forked"), "the end of the storm", 100)[0]
        finally:
            ended.set()
            for client in clients:
                client.join()
    assert {"0": FORKS} == forked["ends"]
    assert forked["longest"] < 4  # a fork waits 5 s for a thread that does not rest
    statuses = sum((client.statuses for client in clients), collections.Counter())
    assert {b"HTTP/1.1 200"} == set(statuses)
    assert statuses.total() > FORKS  # it answered many requests
    assert max(client.longest for client in clients) < 5
    for word in ("Traceback", "Exception", "Warning", "destroyed"):
        assert word not in server.text()


def test_a_child_keeps_no_connection_open(tmp_path: Path) -> None:
    with script(COMMANDS, tmp_path) as server:
        port = server.line("listening")["port"]
        with (
            socket.create_connection(("127.0.0.1", port), DEADLINE) as used,
            socket.create_connection(("127.0.0.1", port), DEADLINE) as silent,
        ):
            used.sendall(GET)
            assert used.recv(1000).startswith(b"HTTP/1.1 200")
            tell(server, "fork")
            child = server.line("child")
            assert [child["listening"]] == child["descriptors"]
            links = [path.readlink() for path in Path(f"/proc/{child['pid']}/fd").iterdir()]
            assert 1 == sum(str(link).startswith("socket:") for link in links)
            used.sendall(GET)
            assert used.recv(1000).startswith(b"HTTP/1.1 200")
            tell(server, "stop")
            assert b"" == used.recv(1)
            assert b"" == silent.recv(1)
            assert Path(f"/proc/{child['pid']}").exists()


def test_a_child_may_serve_and_fork_itself_and_the_parent_after_its_stop(tmp_path: Path) -> None:
    with script(GENERATIONS, tmp_path) as server:
        port = server.line("listening")["port"]
        child, grandchild = server.line("child"), server.line("grandchild")
        wait_until(lambda: body(port) == str(child["pid"]), "an answer of the child")
        wait_until(lambda: body(port) == str(server.process.pid), "an answer of the parent")
        assert -1 == grandchild["shared"]
        assert str(grandchild["pid"]) == body(grandchild["port"])
        tell(server, "")
        assert server.process.stdin is not None
        server.process.stdin.close()
        ended = server.line("ended")
        assert (0, 0) == (ended["code"], ended["after_stop"])


def test_a_fork_and_a_handler_that_wait_for_each_other_do_not_deadlock(tmp_path: Path) -> None:
    with script(STUCK, tmp_path) as server:
        port = server.line("listening")["port"]
        assert answer(port).startswith(b"HTTP/1.1 200")
        assert 0 == server.line("ended")["code"]
        wait_until(lambda: "forked while a background thread was working" in server.text(), "the warning")


def test_handlers_may_fork_even_two_at_once(tmp_path: Path) -> None:
    with script(FORKING_HANDLER, tmp_path) as server:
        ports = [line["port"] for line in wait_until(lambda: _two(server), "both listeners")]
        with ThreadPoolExecutor(2) as pool:
            assert ["7"] * 20 == list(pool.map(body, ports * 10))
        assert "forked while a background thread was working" not in server.text()


def _two(server: Server) -> list[dict[str, Any]]:
    lines = server.lines("listening")
    return lines if len(lines) == 2 else []
