from __future__ import annotations

import contextlib
import http.client
import json
import resource
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from flask_ops.core.address import Address
from flask_ops.core.http import Handler, Request, Response, Shared
from flask_ops.management import connection as connections
from flask_ops.management import listener as listeners
from flask_ops.management.listener import Listener
from tests.process import DEADLINE, wait_until

LOOPBACK = Address("127.0.0.1", 0)
GET = b"GET /probe?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
Serve = Callable[..., Listener]


def echo(request: Request) -> Response:
    body = b"%s %s ?%s %s" % (request.method.encode(), request.path.encode(), request.query.encode(), request.body)
    return Response(200, body, [("Content-Type", "text/plain")])


@pytest.fixture
def serve() -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:

        def start(handler: Handler = echo, address: Address = LOOPBACK) -> Listener:
            listener = Listener.bind(address, handler)
            stack.callback(listener.stop)
            listener.start()
            return listener

        yield start


def connect(listener: Listener) -> socket.socket:
    if listener.address.unix:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(DEADLINE)
            connection.connect(listener.address.unix)
            stack.pop_all()
        return connection
    return socket.create_connection((listener.address.host, listener.address.port), DEADLINE)


def client(listener: Listener) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(listener.address.host, listener.address.port, timeout=DEADLINE)


def to_the_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def exchange(listener: Listener, sent: bytes) -> bytes:
    with connect(listener) as connection:
        connection.sendall(sent)
        return to_the_end(connection)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def seconds_until_closed(connection: socket.socket) -> float:
    start = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        to_the_end(connection)
    return time.monotonic() - start


def test_a_request_reaches_the_handler_as_a_whole(serve: Serve) -> None:
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(201, b"made", [("X-Own", "1"), ("Server", "mine"), ("Content-Length", "99")])

    head = b"POST /a%20b/c?d=%20&e HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\nConnection: close\r\n"
    answer = exchange(serve(handler), head + b"Content-Length: 4\r\n\r\nbody")
    headers = {"host": "x", "x-two": "1, 2", "connection": "close", "content-length": "4"}
    assert [Request("POST", "/a b/c", "d=%20&e", headers, b"body", "127.0.0.1")] == seen
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.split(b"\r\n")
    assert b"HTTP/1.1 201 Created" == status
    assert b"made" == body
    names = {field.partition(b":")[0].lower(): field.partition(b": ")[2] for field in fields}
    assert {b"date", b"x-own", b"content-length", b"connection"} == set(names)
    assert b"4" == names[b"content-length"]


def test_a_connection_is_kept_alive(serve: Serve) -> None:
    connection = client(serve())
    ports = set()
    for _ in range(3):
        connection.request("GET", "/probe")
        assert b"GET /probe ? " == connection.getresponse().read()
        ports.add(connection.sock.getsockname()[1])
    assert 1 == len(ports)
    connection.close()


def shared(request: Request, made: list[str]) -> Response | Shared:
    """Promise an answer for each path below /shared or /unbounded. The query is the key."""
    if request.path == "/last":
        made.append(request.path)
        return echo(request)

    def make() -> Response:
        made.append(f"{request.path}?{request.query}")
        return Response(200, request.query.encode())

    return Shared(request.query, make, unbounded=request.path == "/unbounded")


@contextlib.contextmanager
def waiting(handler: Handler, requests: list[bytes]) -> Iterator[tuple[Listener, list[socket.socket]]]:
    """Yield a listener that has not started, and clients whose requests wait for it, in this order."""
    with contextlib.ExitStack() as stack:
        listener = Listener.bind(LOOPBACK, handler)
        stack.callback(listener.stop)
        clients = [stack.enter_context(connect(listener)) for _ in requests]
        for client, sent in zip(clients, requests, strict=True):
            client.sendall(sent)
        yield listener, clients


def ask(path: bytes) -> bytes:
    return LAST.replace(b"/last", path)


def test_requests_that_wait_for_the_same_share_it_and_hold_no_other_one_up() -> None:
    """A probe that comes last is answered first. Invented keys come last."""
    made: list[str] = []
    requests = [ask(b"/unbounded?%d" % number) for number in range(10)] + [ask(b"/shared?a"), ask(b"/shared?b")] * 20
    with waiting(partial(shared, made=made), [*requests, LAST]) as (listener, clients):
        listener.start()
        for client, sent in zip(clients, requests, strict=False):
            assert sent.partition(b"?")[2].partition(b" ")[0] == to_the_end(client).partition(b"\r\n\r\n")[2]
        assert to_the_end(clients[-1]).endswith(b"GET /last ? ")

    assert ["/last", "/shared?a", "/shared?b", *(f"/unbounded?{number}" for number in range(10))] == made


def test_a_shared_answer_that_fails_is_logged_once_and_answered_to_all() -> None:
    def fail() -> Response:
        raise LookupError

    with capture_logs() as logs, waiting(lambda _: Shared("x", fail), [LAST] * 5) as (listener, clients):
        listener.start()
        assert [500] * 5 == [status_of(to_the_end(client)) for client in clients]
    assert 1 == len(logs)


def test_many_clients_that_do_not_read_share_the_memory_of_their_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SEND_SECONDS", DEADLINE)
    body = b"x" * 4_000_000
    with waiting(lambda _: Shared("x", lambda: Response(200, body)), [LAST] * 20) as (listener, clients):
        tracemalloc.start()
        listener.start()
        for client in clients:
            assert client.recv(1, socket.MSG_PEEK)  # its answer has begun
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5 * len(body)
        assert all(to_the_end(client).endswith(body[-1000:]) for client in clients)


def test_each_form_of_a_request_is_understood(serve: Serve) -> None:
    """The absolute form has a path too. After HTTP/1.0 the connection is closed. HEAD has the length of the body."""
    listener = serve()
    for sent, expected in [
        (LAST.replace(b"/last", b"http://x/deep/path?q"), b"GET /deep/path ?q "),
        (b"GET / HTTP/1.0\r\n\r\n", b"GET / ? "),
        (LAST.replace(b"GET", b"HEAD"), b"\r\n\r\n"),
    ]:
        answer = exchange(listener, sent)
        assert answer.endswith(expected)
    assert b"content-length: 13\r\n" in answer.lower()


def test_the_answer_to_a_half_closed_client_arrives(serve: Serve) -> None:
    with connect(serve()) as connection:
        connection.sendall(GET)
        connection.shutdown(socket.SHUT_WR)
        assert to_the_end(connection).endswith(b"GET /probe ?a=1 ")


def test_a_status_without_body_has_none(serve: Serve) -> None:
    for status in (204, 304):
        answer = exchange(serve(lambda _: Response(status, b"ignored")), GET + LAST)  # noqa: B023 - called at once
        assert 2 == answer.count(b"HTTP/1.1 %d" % status)
        assert b"content-length" not in answer.lower()
        assert answer.endswith(b"\r\n\r\n")


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    sent = b"".join(GET.replace(b"probe", b"n%d" % number) for number in range(200)) + LAST
    answer = exchange(serve(), sent)
    positions = [answer.find(b"GET /n%d ?" % number) for number in range(200)]
    assert -1 not in positions
    assert sorted(positions) == positions
    assert answer.endswith(b"GET /last ? ")


def head_of(size: int) -> bytes:
    """Return a request whose lines take ``size`` bytes."""
    lines = LAST[:-2]
    while len(lines) < size:
        line = b"X-Long: " + b"a" * 4000
        lines += line[: size - len(lines) - 2] + b"\r\n"
    return lines + b"\r\n"


def put(size: int) -> bytes:
    return LAST.replace(b"GET", b"PUT")[:-2] + b"Content-Length: %d\r\n\r\n" % size + b"b" * size


def test_what_is_too_large_or_malformed_is_refused(serve: Serve) -> None:
    listener = serve()
    for sent, status in [
        (head_of(16 * 1024), 200),
        (head_of(16 * 1024 + 1), 431),
        (head_of(500_000), 431),
        (put(64 * 1024), 200),
        (put(64 * 1024 + 1), 413),
        (put(1_000_000), 413),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", 417),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ]:
        answer = exchange(listener, sent)
        assert status == status_of(answer), sent[:100]
        if status != 200:
            assert b"application/problem+json" in answer
            assert status == json.loads(answer.partition(b"\r\n\r\n")[2])["status"]


def failing(request: Request) -> Response:
    if request.path == "/last":
        return Response(200)
    if request.path == "/status":
        return Response(99)
    if request.path == "/header":
        return Response(200, b"", [("X-Split", "a\r\nb: c")])
    raise LookupError("here")


def test_a_failing_handler_is_logged_once_and_answered_with_a_problem(serve: Serve) -> None:
    listener = serve(failing)
    for path in (b"/raise", b"/status", b"/header"):
        with capture_logs() as logs:
            answer = exchange(listener, GET.replace(b"/probe?a=1", path) + LAST)
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert 500 == status_of(head)
        assert b"content-type: application/problem+json" in head.lower()
        problem, _, after = rest.partition(b"\n")
        assert {"type": "about:blank", "title": "Internal Server Error", "status": 500} == {
            name: value for name, value in json.loads(problem).items() if name != "detail"
        }
        assert 200 == status_of(after)  # the connection stays open
        assert ["unhandled exception in the management listener"] == [line["event"] for line in logs]
        assert (True, "GET", path.decode()) == (logs[0]["exc_info"], logs[0]["method"], logs[0]["path"])


def drip(connection: socket.socket, ended: threading.Event) -> None:
    """Send a request byte by byte, and never finish it."""
    with contextlib.suppress(OSError):
        while not ended.wait(0.01):
            connection.sendall(b"a")


@pytest.mark.system
def test_a_request_that_does_not_arrive_in_time_ends_its_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    listener = serve()
    put = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n"
    for begun, slow in [(b"", False), (b"GET / HT", True), (put, False), (put, True)]:
        with connect(listener) as connection:
            connection.sendall(begun)
            ended = threading.Event()
            thread = threading.Thread(target=drip, args=[connection, ended])
            if slow:
                thread.start()
            start = time.monotonic()
            answer = connection.recv(1000)
            assert 0.3 < time.monotonic() - start < 4  # without the limit, 5 s or never
            assert (408 if begun else None) == (status_of(answer) if answer else None)
            ended.set()
            if slow:
                thread.join()


@pytest.mark.system
def test_the_next_request_on_a_connection_has_its_own_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 2.0)
    with connect(serve()) as connection:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            connection.sendall(GET[:20])
            time.sleep(0.2)  # slow, but in time
            connection.sendall(GET[20:])
            assert 200 == status_of(connection.recv(1000))
        connection.sendall(GET + GET[:20])
        assert 200 == status_of(connection.recv(1000))
        assert seconds_until_closed(connection) > 1.5


def test_an_idle_connection_is_closed_later_than_a_silent_one(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.8)
    monkeypatch.setattr(connections, "LINGER_SECONDS", 0.1)
    with connect(serve()) as connection:
        connection.sendall(GET)
        connection.recv(1000)
        assert 0.6 < seconds_until_closed(connection) < DEADLINE / 2  # the real limit is 75 s


def test_the_times_are_those_promised() -> None:
    assert (5, 75, 5, 512) == (
        connections.REQUEST_SECONDS,
        connections.IDLE_SECONDS,
        connections.SEND_SECONDS,
        listeners.CONNECTIONS,
    )


@pytest.mark.system
def test_a_client_that_does_not_read_is_dropped_and_one_that_reads_slowly_is_not(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SEND_SECONDS", 0.6)
    large = b"x" * 16_000_000
    listener = serve(lambda request: Response(200, large if request.path == "/last" else b"small"))
    with connect(listener) as unread, connect(listener) as slow:
        unread.sendall(LAST)
        slow.sendall(LAST)
        received = 0
        start = time.monotonic()
        while time.monotonic() < start + 2:
            received += len(slow.recv(1_000_000))
            assert exchange(listener, GET[:-2] + b"Connection: close\r\n\r\n").endswith(b"small")
            time.sleep(0.05)
        received += len(to_the_end(slow))
        assert len(large) < received
        with contextlib.suppress(ConnectionResetError):
            assert len(large) > len(to_the_end(unread))


def test_all_probes_are_answered_among_500_silent_clients_and_slow_writers(serve: Serve) -> None:
    listener = serve()
    ended = threading.Event()
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(connect(listener))
        writers = [stack.enter_context(connect(listener)) for _ in range(5)]
        threads = [threading.Thread(target=drip, args=[writer, ended]) for writer in writers]
        for thread in threads:
            stack.callback(thread.join)
        stack.callback(ended.set)
        for thread in threads:
            thread.start()
        for _ in range(200):
            start = time.monotonic()
            assert exchange(listener, LAST).endswith(b"GET /last ? ")
            assert time.monotonic() - start < 4  # a silent client is dropped after 5 s


def test_beyond_the_limit_the_longest_idle_connection_makes_room(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "CONNECTIONS", 3)
    with contextlib.ExitStack() as stack:
        listener = serve()
        first, second, third = (stack.enter_context(connect(listener)) for _ in range(3))
        for connection in (first, second, third, first):
            connection.sendall(GET)
            assert 200 == status_of(connection.recv(1000))
        fourth = stack.enter_context(connect(listener))
        assert b"" == second.recv(1)
        for connection in (first, third, fourth):
            connection.sendall(GET)
            assert 200 == status_of(connection.recv(1000))


def test_a_client_with_many_connections_makes_room_with_its_own(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "CONNECTIONS", 5)
    listener = serve()
    port = listener.address.port
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(socket.create_connection(("127.0.0.1", port), DEADLINE, ("127.0.0.2", 0)))
        other.sendall(GET)
        assert 200 == status_of(other.recv(1000))  # it is quiet for longer than any other one
        for _ in range(20):
            connection = stack.enter_context(connect(listener))
            connection.sendall(GET)
            assert 200 == status_of(connection.recv(1000))
        other.sendall(GET)
        assert 200 == status_of(other.recv(1000))


def test_a_probe_is_answered_where_silent_clients_took_all_descriptors(serve: Serve) -> None:
    listener = serve()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(40)]
        # The listener, in the same process, has descriptors for ten of them.
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(each.fileno() for each in clients) + 11, limits[1]))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        for each in clients:
            each.settimeout(DEADLINE)
            each.connect((listener.address.host, listener.address.port))
        clients[-1].sendall(LAST)
        assert to_the_end(clients[-1]).endswith(b"GET /last ? ")
        assert b"" == clients[0].recv(1)  # it made room


def test_it_listens_on_tcp_and_knows_its_port(serve: Serve) -> None:
    for host in ["127.0.0.1", "::1", "localhost", "::"]:
        listener = serve(address=Address(host, 0))
        assert 0 != listener.address.port
        assert exchange(listener, LAST).endswith(b"GET /last ? ")
    with socket.create_connection(("127.0.0.1", listener.address.port), DEADLINE) as over_v4:
        over_v4.sendall(LAST)
        assert to_the_end(over_v4).endswith(b"GET /last ? ")


def test_it_listens_on_a_unix_socket_and_replaces_an_abandoned_one(serve: Serve, tmp_path: Path) -> None:
    address = Address(unix=str(tmp_path / "socket"))
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(address.unix)
    listener = serve(address=address)
    assert address == listener.address
    assert exchange(listener, LAST).endswith(b"GET /last ? ")
    with pytest.raises(OSError, match="in use"):
        Listener.bind(address, echo)
    listener.stop()
    assert not Path(address.unix).exists()
    Path(address.unix).write_text("precious")
    with pytest.raises(OSError, match="in use"):
        Listener.bind(address, echo)
    assert "precious" == Path(address.unix).read_text()


def test_a_taken_port_is_an_error_and_a_connection_waits_for_the_start(serve: Serve) -> None:
    waiting = Listener.bind(LOOPBACK, echo)
    with connect(waiting) as early:
        early.sendall(LAST)
        with pytest.raises(OSError, match="in use"):
            Listener.bind(waiting.address, echo)
        waiting.start()
        assert to_the_end(early).endswith(b"GET /last ? ")
    waiting.stop()
    # Connections in TIME_WAIT do not block the port.
    assert waiting.address == serve(address=waiting.address).address


def test_two_listeners_serve_side_by_side(serve: Serve) -> None:
    release = threading.Event()
    stuck = serve(lambda _: Response(200 if release.wait(DEADLINE) else 500))
    other = serve()
    with connect(stuck) as connection:
        connection.sendall(LAST)
        assert exchange(other, LAST).endswith(b"GET /last ? ")
        release.set()
        assert 200 == status_of(to_the_end(connection))
    stuck.stop()
    assert exchange(other, LAST).endswith(b"GET /last ? ")


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_stop_leaves_no_thread_no_port_and_no_descriptor() -> None:
    before = (threading.active_count(), descriptors())
    listener = Listener.bind(LOOPBACK, echo)
    listener.start()
    with connect(listener) as connection:
        connection.sendall(GET)
        connection.recv(1000)
        start = time.monotonic()
        listener.stop()
        assert time.monotonic() - start < 4  # it waits 5 s for a handler that hangs
        assert b"" == connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(listener)
    listener.stop()
    assert -1 == listener.fileno()
    assert before == (threading.active_count(), descriptors())


def test_a_request_of_a_client_that_connected_before_the_stop_is_answered() -> None:
    """Another master may serve the address, so the client must not notice that this one ends."""
    listener = Listener.bind(LOOPBACK, echo)
    listener.start()
    with connect(listener) as connection, connect(listener) as other:
        other.sendall(LAST)
        to_the_end(other)  # so the listener has accepted both
        stopping = threading.Thread(target=listener.stop)
        stopping.start()
        connection.sendall(LAST)
        assert to_the_end(connection).endswith(b"GET /last ? ")
        stopping.join(DEADLINE)


def test_stop_does_not_wait_for_a_handler_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_ops.management.listener.STOP_SECONDS", 0.2)
    entered, release = threading.Event(), threading.Event()

    def hang(_: Request) -> Response:
        entered.set()
        return Response(200 if release.wait(DEADLINE) else 500)

    listener = Listener.bind(LOOPBACK, hang)
    listener.start()
    with connect(listener) as connection:
        connection.sendall(GET)
        assert entered.wait(DEADLINE)
        start = time.monotonic()
        listener.stop()
        assert time.monotonic() - start < DEADLINE / 2
        release.set()
        to_the_end(connection)
    wait_until(lambda: "management-listener" not in {thread.name for thread in threading.enumerate()}, "its end")


def test_only_a_listening_socket_is_inherited() -> None:
    with socket.socket() as other:
        with pytest.raises(OSError, match="not a listening socket"):
            Listener.inherit(other.fileno(), echo)
        assert other.getsockname()  # still open
    with pytest.raises(OSError, match="Bad file descriptor"):
        Listener.inherit(other.fileno() if other.fileno() >= 0 else 987, echo)


INHERIT = """
import sys
from flask_ops.core.http import Response
from flask_ops.management.listener import Listener
listener = Listener.inherit(int(sys.argv[1]), lambda request: Response(200, b"heir"))
listener.start()
sys.stdin.read()
listener.stop()
"""


@pytest.mark.parametrize("unix", [False, True])
def test_a_program_inherits_the_socket_and_no_client_is_refused(tmp_path: Path, unix: bool) -> None:
    listener = Listener.bind(Address(unix=str(tmp_path / "socket")) if unix else LOOPBACK, echo)
    listener.start()
    assert exchange(listener, LAST).endswith(b"GET /last ? ")
    command = [sys.executable, "-c", INHERIT, str(listener.fileno())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()]) as heir:
        wait_until(lambda: exchange(listener, LAST).endswith(b"heir"), "the heir answers")
        listener.stop()
        for _ in range(20):
            assert exchange(listener, LAST).endswith(b"heir")
        assert heir.stdin is not None
        heir.stdin.close()
        assert 0 == heir.wait(DEADLINE)
    with pytest.raises(OSError, match=r"refused|No such file"):
        connect(listener)
