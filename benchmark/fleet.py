"""``python -m benchmark.fleet RULES``: the cost of the rules for many services in a real Prometheus.

One process serves a recorded exposition for all targets, on loopback. Its counters grow with time. Prometheus scrapes
1,000 targets of 50 services every 15 seconds, and evaluates the rule files of the folder RULES every 30 seconds. After
``--seconds``, the command prints a table with Prometheus's memory, its series, and the time that each group of rules
takes beside its interval.

With ``--copies``, a second Prometheus has a copy of every rule for each service, which selects only this service. Its
column of the table is beside the first one, to compare rules for any service with rules for single ones.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml
from observability import programs
from observability.drill.load import users
from observability.drill.service import Service
from observability.programs import Interrupted, Program, end_by_signal, free_port

from benchmark.markdown import table

_SERIES = re.compile(
    r'(?<![\w:"])((?:job|job_\w+):[\w:]+|(?:service|process|scrape|flask_http)_\w+|up)\b(?!\s*\()(\{)?'
)
"""A name of a series in a rule, and the brace of its selector if it has one."""
_COUNTER = re.compile(r"(\w+_(?:total|count|sum|bucket)(?:\{.*\})?) (\S+)")


def record(directory: Path) -> str:
    """Return the exposition of a service that has had some traffic."""
    running: list[Program] = []
    service = Service("service", directory, {}, running)
    try:
        service.start()
        with users(service.port):
            programs.wait(10)
        with urllib.request.urlopen(f"http://{service.target}/metrics", timeout=10) as answer:
            return str(answer.read().decode())
    finally:
        for program in running:
            program.stop()


def with_routes(text: str, number: int) -> str:
    """Return an exposition in which the route ``/`` has copies, so that there are ``number`` of it."""
    lines = text.splitlines()
    copied = [
        line.replace('route="/"', f'route="/{i}"') for line in lines if 'route="/"' in line for i in range(1, number)
    ]
    return "\n".join([*lines, *copied]) + "\n"


class Exposition:
    """A recorded exposition whose counters grow by the recorded value each minute."""

    def __init__(self, text: str) -> None:
        self._lines = [line for line in text.splitlines() if not line.startswith("#")]
        self._begin, self._made, self._body = time.monotonic(), -1, b""

    def body(self) -> bytes:
        """Return the text of this second."""
        second = int(time.monotonic() - self._begin)
        if second != self._made:
            factor = 1 + second / 60
            lines = (_COUNTER.fullmatch(line) for line in self._lines)
            grown = [
                f"{found[1]} {float(found[2]) * factor}" if found else line
                for found, line in zip(lines, self._lines, strict=True)
            ]
            self._made, self._body = second, ("\n".join(grown) + "\n").encode()
        return self._body


def serve(exposition: Exposition) -> int:
    """Serve the exposition in a thread, under every path. Return the port."""
    port = free_port()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):  # Prometheus has ended
            while await reader.readuntil(b"\r\n\r\n"):
                body = exposition.body()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    return port


def of_one_service(query: str, job: str) -> str:
    """Return a query that selects only the series of one service."""

    def select(found: re.Match[str]) -> str:
        return f'{found[1]}{{job="{job}"{"," if found[2] else "}"}'

    return _SERIES.sub(select, query)


def configure(directory: Path, port: int, rules: Path, jobs: list[str], instances: int, *, copies: bool) -> None:
    """Write the configuration of Prometheus, its targets and its rules."""
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"job": job, "instance": f"{job}-{number}"}}
        for job in jobs
        for number in range(instances)
    ]
    (directory / "targets.json").write_text(json.dumps(targets))
    (directory / "rules").mkdir()
    for path in rules.glob("*.yml"):
        for job in jobs if copies else [""]:
            content = yaml.safe_load(path.read_text())
            for rule in (rule for group in content["groups"] for rule in group["rules"] if copies):
                rule["expr"] = of_one_service(rule["expr"], job)
            (directory / "rules" / f"{path.stem}-{job}.yml").write_text(yaml.safe_dump(content))
    config = {
        "global": {"scrape_interval": "15s", "evaluation_interval": "30s"},
        "rule_files": ["rules/*.yml"],
        "scrape_configs": [{"job_name": "services", "file_sd_configs": [{"files": ["targets.json"]}]}],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))


def get(port: int, path: str, **parameters: str) -> Any:
    """Return the data of a response of Prometheus's API."""
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)["data"]


def report(port: int, process: psutil.Process, seconds: float) -> dict[str, str]:
    """Return what Prometheus needs, from its own API and its process."""
    groups = get(port, "rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return {
        "targets up": f"{len(get(port, 'query', query='up == 1')['result']):,}",
        "memory, MiB": f"{process.memory_info().rss / 2**20:,.0f}",
        "series": f"{get(port, 'status/tsdb')['headStats']['numSeries']:,}",
        "CPU cores": f"{sum(process.cpu_times()[:2]) / seconds:.2f}",
        "rules": f"{len(rules):,}",
        "failed rules": f"{sum(rule['health'] == 'err' for rule in rules):,}",
        **evaluations(groups),
    }


def evaluations(groups: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the time of an evaluation of each group, beside its interval. Copies of a group count together."""
    took: defaultdict[str, float] = defaultdict(float)
    for group in groups:
        took[f"evaluation of {group['name']}, every {group['interval']:g} s"] += group["evaluationTime"]
    return {name: f"{seconds:.3f} s" for name, seconds in took.items()}


def main() -> int:
    """Run Prometheus and print the table. After a signal, end all programs and return 128 plus its number."""
    parser = argparse.ArgumentParser("benchmark.fleet", description=__doc__)
    parser.add_argument("rules", type=Path, metavar="RULES")
    parser.add_argument("--services", type=int, default=50)
    parser.add_argument("--instances", type=int, default=20, help="of each service (default: %(default)s)")
    parser.add_argument("--routes", type=int, default=20, help="of each service (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=400.0)
    parser.add_argument("--copies", action="store_true", help="compare with a copy of the rules for each service")
    end_by_signal()
    try:
        options = parser.parse_args()
        columns = {"rules for any service": measure(options, copies=False)}
        if options.copies:
            columns["a copy for each service"] = measure(options, copies=True)
    except Interrupted as interrupted:
        return 128 + interrupted.number
    first, *_ = columns.values()
    rows = [(name, *(found[name] for found in columns.values())) for name in first]
    sys.stdout.write(table((f"{options.services} services", *columns), rows))
    return 0


def measure(options: argparse.Namespace, *, copies: bool) -> dict[str, str]:
    """Run Prometheus for some time and return the report."""
    jobs = [f"service-{number}" for number in range(options.services)]
    with tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as folder:
        directory = Path(folder)
        text = with_routes(record(directory), options.routes)
        exposition, port = Exposition(text), free_port()
        configure(directory, serve(exposition), options.rules, jobs, options.instances, copies=copies)
        program = Program(programs.prometheus(directory, port), directory / "prometheus.log")
        try:
            program.wait_for(f"http://127.0.0.1:{port}/-/ready")
            programs.wait(options.seconds)
            found = report(port, psutil.Process(program.process.pid), options.seconds)
        finally:
            program.stop()
    return {"samples of a scrape": format(exposition.body().count(b"\n"), ","), **found}


if __name__ == "__main__":
    sys.exit(main())
