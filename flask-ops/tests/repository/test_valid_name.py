"""`make name` refuses a name that does not fit everywhere, gives the reason, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository import names
from tests.repository.renaming import Copy


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("refused") / "copy")


REASONS = {
    "": "it is empty",
    "Orders": "no upper-case letters",
    "orders_api": "only letters, digits and hyphens",
    "orders.api": "only letters, digits and hyphens",
    "orders api": "only letters, digits and hyphens",
    "bücher": "only letters, digits and hyphens",
    "x;touch y": "only letters, digits and hyphens",
    "2orders": "start with a letter",
    "-orders": "start with a letter",
    "orders-": "do not end with a hyphen",
    "orders--api": "several hyphens are the same as one",
    "o" * 52: "it is longer than 51",
    "on": "in YAML",
    "kube-orders": "belong to Kubernetes",
    "docker": "/run/docker belongs to the system",
    "localhost": "the machine itself",
    "flask-ops": "the name of a dependency",
    "gunicorn": "the name of a dependency",
    "proxy": "another service of compose.yaml",
    "prometheus": "another service of compose.yaml or observability/compose.yaml",
}


def test_a_name_that_does_not_fit_is_refused_with_the_reason(copy: Copy) -> None:
    before = copy.content()
    for name, reason in REASONS.items():
        done = copy.make_name(f"NAME={name}")

        assert 0 != done.returncode, name
        assert f"{name!r} is not a valid name: " in done.stderr
        assert reason in done.stderr, name
        assert "Expected: 1 to 51 lower-case letters, digits and single hyphens" in done.stderr, name
        assert before == copy.content(), name


def test_another_job_and_another_unit_keep_their_names(copy: Copy) -> None:
    taken = {
        "observability/prometheus.yml": "  - job_name: bills\n",
        "deploy/systemd/bills.service": "[Unit]\n",
    }
    reasons = ("another job in observability/prometheus.yml has", "deploy/systemd/bills.service exists already")
    for (path, text), reason in zip(taken.items(), reasons, strict=True):
        file = copy.folder / path
        present = file.read_text() if file.exists() else ""
        file.write_text(present + text)
        before = copy.content()
        done = copy.make_name("NAME=bills")
        after = copy.content()
        file.write_text(present) if present else file.unlink()

        assert 0 != done.returncode, path
        assert reason in done.stderr
        assert before == after, path


def test_without_a_name_it_tells_how_to_give_one(copy: Copy) -> None:
    """WSL sets a variable NAME in every environment."""
    before = copy.content()
    for environ in ({}, {"NAME": "of-the-machine"}):
        done = copy.make_name(**environ)

        assert 0 != done.returncode, environ
        assert "Usage: make name NAME=orders\n" in done.stderr, environ
        assert before == copy.content(), environ


def test_a_name_that_fits_is_taken(tmp_path: Path) -> None:
    copy, before = Copy(tmp_path / "copy"), names.DISTRIBUTION
    for name in ("a", "o" * 51, "order-api-2"):
        assert f"{before} -> {name}\n" in copy.rename(name)
        before = name
