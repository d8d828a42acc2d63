"""The faults of the drill, each with the code that injects and ends it, and the alerts that it must raise."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from observability.drill.load import Load, ask
from observability.drill.service import REQUEST_TIMEOUT_SECONDS, THREADS
from observability.drill.stack import LOOSE, Stack
from observability.programs import wait_until

Inject = Callable[[Stack], AbstractContextManager[object]]


@dataclass(frozen=True)
class Fault:
    """A fault that lasts as long as the ``with`` block of ``inject``.

    ``expected`` has the titles of alerts that must arrive. ``allowed`` has alerts that may arrive, with the reason.
    ``env`` has settings of the service.
    """

    name: str
    inject: Inject
    expected: frozenset[str] = frozenset()
    allowed: Mapping[str, str] = field(default_factory=dict)
    deadline: float = 60.0
    """Time limit for the expected alerts, in seconds."""
    env: Mapping[str, str] = field(default_factory=dict)


UNTRIED = {
    "ServiceErrorBudgetGoneIn10Days": "its windows take the longest",
    "ServiceErrorBudgetGoneIn30Days": "its windows take the longest",
    "ServiceScrapesSlow": "a scrape of the drill cannot last two seconds",
}
"""Alerts that no fault raises, each with the reason. The unit tests of promtool cover them."""


def _slower_burns(slo: str, *slower: int) -> dict[str, str]:
    reason = "reports the same problem, and is inhibited only while a faster burn is active"
    return {f"ServiceErrorBudgetGoneIn{days}Days{{{slo}}}": reason for days in slower or (5, 10, 30)}


def _asks(method: str, path: str, *, clients: int = 1, pause: float = 0.1, neighbour: bool = False) -> Inject:
    def load(stack: Stack) -> Load:
        port = stack.neighbour.port if neighbour else stack.service.port
        return Load(lambda _: ask(port, method, path), clients=clients, pause=pause)

    return load


@contextmanager
def _errors_in_both(stack: Stack) -> Iterator[None]:
    """Fail one request per second in both services, which is a share of about 5%."""
    with _asks("POST", "/faults/error", pause=1)(stack), _asks("POST", "/faults/error", pause=1, neighbour=True)(stack):
        yield


@contextmanager
def _workers_stopped(stack: Stack) -> Iterator[None]:
    """Stop all workers with a signal, so that no worker accepts connections. At the end, they continue."""
    stopped = stack.service.workers()
    for worker in stopped:
        os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in stopped:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)


@contextmanager
def _process_gone(stack: Stack) -> Iterator[None]:
    stack.service.program.stop(signal.SIGKILL)
    yield
    stack.service.start()


@contextmanager
def _restart_loop(stack: Stack) -> Iterator[None]:
    """Kill the service after each successful scrape, until the alert arrives.

    The alert needs five starts within an hour, which is 12 seconds here. If a start takes two seconds, this fails.
    """
    for _ in range(20):
        before = _start_seen(stack)
        stack.service.program.stop(signal.SIGKILL)
        stack.service.start()
        with suppress(TimeoutError):  # the outcome reports it
            wait_until(partial(_seen_since, stack, before), "a scrape", 10)
        if "ServiceRestarting" in stack.webhook.arrived(stack.service.job):
            break
    yield


def _start_seen(stack: Stack) -> list[str]:
    """Return the start time of the service from the last scrape. The list is empty if the scrape failed."""
    return [
        str(sample["value"][1]) for sample in stack.query(f'process_start_time_seconds{{job="{stack.service.job}"}}')
    ]


def _seen_since(stack: Stack, before: list[str]) -> bool:
    return _start_seen(stack) not in ([], before)


@contextmanager
def _dependency_down(stack: Stack) -> Iterator[None]:
    ask(stack.service.port, "PUT", "/faults/dependency")
    yield
    ask(stack.service.port, "DELETE", "/faults/dependency")


@contextmanager
def _log_reader_stalled(stack: Stack) -> Iterator[None]:
    """Start the service with a log pipe that no process reads. At the end, start it with a log file again."""
    reader, writer = os.pipe()
    try:
        stack.service.program.stop()
        stack.service.start(writer)
        # Each request writes a line. Long paths fill the buffer of the pipe quickly.
        with Load(lambda number: ask(stack.service.port, "GET", f"/{number:0800}"), clients=2, pause=0.02):
            yield
    finally:
        stack.service.program.stop(signal.SIGKILL)
        os.close(reader)
        os.close(writer)
        stack.service.start()


@contextmanager
def _store_damaged(stack: Stack) -> Iterator[None]:
    damaged, *_ = stack.service.store().glob("counter_*.db")
    with damaged.open("r+b") as file:
        file.seek(8)
        file.write(b"\xff" * 64)
    yield


@contextmanager
def _draining(stack: Stack) -> Iterator[None]:
    ask(stack.service.management_port, "POST", "/drain")
    yield
    ask(stack.service.management_port, "POST", "/resume")


@contextmanager
def _target_absent(stack: Stack) -> Iterator[None]:
    stack.scrape()
    yield
    stack.scrape(stack.service.target)


@contextmanager
def _descriptors_leak(stack: Stack) -> Iterator[None]:
    """Leak descriptors under a limit of 1000, because the default may be a million. At the end, reload the service."""
    for worker in stack.service.workers():
        _, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (1000, hard))
    ask(stack.service.port, "POST", "/faults/descriptors?count=850")
    yield
    stack.service.program.process.send_signal(signal.SIGHUP)


@contextmanager
def _series_without_bound(stack: Stack) -> Iterator[None]:
    """Create more series than 60% of the limit above which a scrape fails. At the end, restart the service."""
    ask(stack.service.port, "POST", "/faults/series?count=6000")
    yield
    stack.service.program.stop()
    stack.service.start()


def _scan(stack: Stack) -> AbstractContextManager[object]:
    def request(number: int) -> None:
        ask(stack.service.port, ("GET", "POST", "BREW")[number % 3], f"/{number}/wp-login.php?{number}")

    return Load(request, clients=4, pause=0.05)


def _bursts(stack: Stack) -> AbstractContextManager[object]:
    """Send more requests at once than the service can begin within SERVICE_QUEUE_SECONDS, and again after a pause."""
    clients = 2 * THREADS + 4

    def burst(_: int) -> None:
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(lambda _: ask(stack.service.port, "POST", "/faults/slow?seconds=0.6"), range(clients)))

    return Load(burst, pause=2.5)


FAULTS = (
    Fault(
        "errors",
        _asks("POST", "/faults/error"),
        frozenset({"ServiceErrorBudgetGoneIn2Days{availability}"}),
        _slower_burns("availability"),
    ),
    # The same share of errors breaks the strict objective of the service and keeps the loose one of its neighbour.
    Fault(
        "errors in both",
        _errors_in_both,
        frozenset({"ServiceErrorBudgetGoneIn2Days{availability}"}),
        _slower_burns("availability"),
    ),
    # Fewer than five errors within 12 seconds, which stand for the hour of the fastest burn.
    Fault(
        "few errors",
        _asks("POST", "/faults/error", pause=3.7),
        frozenset({"ServiceErrorBudgetGoneIn5Days{availability}"}),
        _slower_burns("availability", 10, 30),
        deadline=90.0,
    ),
    Fault(
        "latency",
        _asks("POST", "/faults/slow?seconds=0.5", clients=3),
        frozenset({"ServiceErrorBudgetGoneIn2Days{latency}"}),
        _slower_burns("latency"),
    ),
    Fault(
        "workers busy",
        # Requests that have waited for longer than SERVICE_QUEUE_SECONDS are refused.
        _asks("POST", "/faults/slow?seconds=2", clients=5 * THREADS + 20, pause=0),
        frozenset(
            {
                "ServiceRequestsShed",
                "ServiceThreadsSaturated",
                "ServiceErrorBudgetGoneIn2Days{availability}",
                "ServiceErrorBudgetGoneIn2Days{latency}",
            }
        ),
        _slower_burns("availability") | _slower_burns("latency"),
    ),
    # Bursts miss a strict objective, too.
    Fault("overload", _bursts, frozenset({"ServiceRequestsShed"}), env=LOOSE),
    Fault("workers stopped", _workers_stopped, frozenset({"ServiceAcceptQueueGrowing"})),
    Fault("workers crash", _asks("POST", "/faults/crash", pause=0.6), frozenset({"ServiceWorkersCrashing"})),
    Fault("process gone", _process_gone, frozenset({"ServiceTargetDown"})),
    Fault(
        "restart loop",
        _restart_loop,
        frozenset({"ServiceRestarting"}),
        {"ServiceAcceptQueueGrowing": "connections wait during a start, and its two seconds stand for ten minutes"},
    ),
    Fault("target absent", _target_absent, frozenset({"ServiceTargetAbsent"})),
    Fault("drain forgotten", _draining, frozenset({"ServiceDrainingTooLong"})),
    Fault("dependency down", _dependency_down, frozenset({"ServiceDependencyDown{fault}", "ServiceNotReady"})),
    Fault("log reader stalled", _log_reader_stalled, frozenset({"ServiceLogLinesDropped"})),
    Fault("store file damaged", _store_damaged, frozenset({"ServiceMetricsStoreDamaged"})),
    Fault("scanner", _scan),
    Fault("series no bound", _series_without_bound, frozenset({"ServiceSeriesNearLimit"})),
    Fault("descriptors leak", _descriptors_leak, frozenset({"ServiceDescriptorsNearLimit"})),
    Fault(
        "stuck requests",
        _asks("POST", f"/faults/slow?seconds={4 * REQUEST_TIMEOUT_SECONDS}", clients=3),
        frozenset({"ServiceRequestsStuck"}),
    ),
    Fault(
        "memory leak",
        _asks("POST", "/faults/leak?mebibytes=1", pause=0.25),
        frozenset({"ServiceMemoryGrowing"}),
        deadline=180.0,
    ),
)
