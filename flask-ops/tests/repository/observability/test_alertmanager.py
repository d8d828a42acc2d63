"""The receivers of each alert, by amtool and by a real Alertmanager."""

from __future__ import annotations

import itertools
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from observability.programs import free_port
from tests.observability.files import alerts
from tests.process import started, wait_until
from tests.programs import outcome, require
from tests.repository.observability.files import OBSERVABILITY

CONFIG = OBSERVABILITY / "alertmanager.yml"
SECRETS = {
    "routing_key",
    "service_key",
    "auth_password",
    "auth_secret",
    "api_url",
    "bot_token",
    "password",
    "credentials",
}
"""Fields of receivers that hold a secret; each has a variant for a file, ``..._file``."""


def amtool(*arguments: str | Path) -> tuple[int, str]:
    return outcome(require("amtool"), *arguments)


def test_amtool_accepts_the_configuration_and_the_examples(tmp_path: Path) -> None:
    """Examples are comments: if active, they would send messages. An adopter may have removed or used some."""
    before, _, receivers = CONFIG.read_text().partition("\nreceivers:\n")
    examples = tmp_path / "alertmanager.yml"
    examples.write_text(before + "\nreceivers:\n" + re.sub("^    # ", "    ", receivers, flags=re.MULTILINE))
    for path in (CONFIG, examples):
        returned, output = amtool("check-config", path)

        assert 0 == returned, f"{path}: {output}"


def test_it_has_no_secret() -> None:
    def fields(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(fields, value.values()))
        return set().union(*map(fields, value)) if isinstance(value, list) else set()

    assert set() == SECRETS & fields(yaml.safe_load(CONFIG.read_text()))


def receivers(*labels: str) -> str:
    returned, output = amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels)
    assert 0 == returned, output
    return output.strip()


def test_alerts_go_where_their_severity_says() -> None:
    told: dict[str, set[str]] = {}
    for alert, rule in alerts().items():
        severity = rule["labels"]["severity"]
        found = receivers(f"alertname={alert}", f"severity={severity}", "job=service", "instance=127.0.0.1:8001")
        told.setdefault(severity, set()).add(found)

    assert {"page", "ticket", "none"} == set(told)
    assert [1, 1, 1] == [len(names) for names in told.values()]
    assert 3 == len(set.union(*told.values())), "a page, a ticket and the heartbeat go to somebody else each"
    # An unknown alert is a ticket.
    assert told["ticket"] == {receivers("a=b")}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Alertmanager with the configuration, but with receivers that send nothing, and yield its address."""
    directory, port = tmp_path_factory.mktemp("alertmanager"), free_port()
    config = yaml.safe_load(CONFIG.read_text())
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    (directory / "alertmanager.yml").write_text(yaml.safe_dump(config))
    command: list[str | Path] = [
        require("prometheus-alertmanager"),
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with started(command, directory) as server:
        wait_until(lambda: "Listening" in server.text() and get(f"http://127.0.0.1:{port}/-/ready"), "Alertmanager")
        yield f"http://127.0.0.1:{port}"


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
        return bytes(answer.read())


def labels(alert: str, **more: str) -> dict[str, str]:
    return {"alertname": alert, "severity": alerts()[alert]["labels"]["severity"], "job": "service", **more}


def inhibited(alertmanager: str, firing: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the alerts that Alertmanager does not send."""
    found = json.loads(get(f"{alertmanager}/api/v2/alerts"))
    silent = [alert["labels"] for alert in found if alert["status"]["inhibitedBy"]]
    return [labels for labels in firing if labels in silent]


def assert_inhibited(expected: list[dict[str, str]], alertmanager: str, firing: list[dict[str, str]]) -> None:
    """Send the alerts, and wait: Alertmanager needs a moment to use an alert as a source."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{alertmanager}/api/v2/alerts",
        json.dumps([{"labels": one} for one in firing]).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - loopback
        wait_until(lambda: expected == inhibited(alertmanager, firing), f"{expected} of {firing} are inhibited")


def test_an_alert_silences_what_it_explains_and_nothing_else(alertmanager: str) -> None:
    # A target that is down: its causes, but not those of others.
    cause = labels("ServiceThreadsSaturated", instance="a")
    others = [labels("ServiceThreadsSaturated", instance="b"), labels("ServiceNotReady", instance="b")]
    assert_inhibited([cause], alertmanager, [labels("ServiceTargetDown", instance="a"), cause, *others])

    # No target at all: every cause of the same job.
    cause = {**labels("ServiceMemoryGrowing", instance="c"), "job": "gone"}
    absent = {**labels("ServiceTargetAbsent"), "job": "gone"}
    assert_inhibited([cause], alertmanager, [absent, cause, labels("ServiceMemoryGrowing", instance="c")])

    # A fast burn: a slower one of the same objective, but none of another objective, route or job.
    firing, silent = [], []
    burns = [f"ServiceErrorBudgetGoneIn{days}Days" for days in (2, 5, 10, 30)]
    for fast, slow in itertools.combinations(burns, 2):
        one = {"job": f"{fast} {slow}", "slo": "latency"}
        source, target = {**labels(fast), **one}, {**labels(slow), **one}
        changes = ({"slo": "availability"}, {"route": "/"}, {"job": f"not {one['job']}"})
        firing += [source, target, *({**target, **change} for change in changes)]
        silent.append(target)
    assert_inhibited(silent, alertmanager, firing)


@pytest.mark.parametrize("name", ["namespace", "cluster", "env", "environment"])
def test_alerts_of_different_environments_are_kept_apart(name: str, alertmanager: str) -> None:
    """Several Prometheus servers may send to one Alertmanager, each with its own ``external_labels``."""

    def firing(value: str, *alerts: dict[str, str]) -> list[dict[str, str]]:
        return [{**one, "job": f"of each {name}", name: value} for one in alerts]

    cause = labels("ServiceMemoryGrowing", instance="a")
    slow = [labels(f"ServiceErrorBudgetGoneIn{days}Days", slo="availability") for days in (5, 10, 30)]
    fast = labels("ServiceErrorBudgetGoneIn2Days", slo="availability")
    gone = [labels("ServiceTargetDown", instance="a"), labels("ServiceTargetAbsent")]
    staging = firing("staging", fast, *slow, *gone, cause)
    production = firing("production", slow[0], cause)

    assert_inhibited([*staging[1:4], staging[-1]], alertmanager, [*staging, *production])
    groups = [group["labels"] for group in json.loads(get(f"{alertmanager}/api/v2/alerts/groups"))]
    assert {"staging", "production"} == {
        group[name] for group in groups if (group["job"], group["alertname"]) == (f"of each {name}", cause["alertname"])
    }
