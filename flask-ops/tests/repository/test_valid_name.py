"""`make name` refuses a name that does not fit everywhere, gives the reason, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository import names
from tests.repository.renaming import Copy


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("refused") / "copy")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty"),
        ("Orders", "no upper-case letters"),
        ("orders_api", "only letters, digits and hyphens"),
        ("orders.api", "only letters, digits and hyphens"),
        ("orders api", "only letters, digits and hyphens"),
        ("bücher", "only letters, digits and hyphens"),
        ("x;touch y", "only letters, digits and hyphens"),
        ("2orders", "start with a letter"),
        ("-orders", "start with a letter"),
        ("orders-", "do not end with a hyphen"),
        ("orders--api", "several hyphens are the same as one"),
        ("o" * 52, "it is longer than 51"),
        ("on", "in YAML"),
        ("kube-orders", "belong to Kubernetes"),
        ("docker", "/run/docker belongs to the system"),
        ("localhost", "the machine itself"),
        ("flask-ops", "the name of a dependency"),
        ("gunicorn", "the name of a dependency"),
        ("proxy", "another service of compose.yaml"),
        ("prometheus", "another service of compose.yaml or observability/compose.yaml"),
    ],
)
def test_a_name_that_does_not_fit_is_refused_with_the_reason(copy: Copy, name: str, reason: str) -> None:
    before = copy.content()
    done = copy.make_name(f"NAME={name}")

    assert 0 != done.returncode
    assert f"{name!r} is not a valid name: " in done.stderr
    assert reason in done.stderr
    assert "Expected: 1 to 51 lower-case letters, digits and single hyphens" in done.stderr
    assert before == copy.content()


def test_a_job_beside_it_keeps_its_name(copy: Copy) -> None:
    cases = copy.folder / "observability" / "tests" / "of-two-jobs.yml"
    cases.write_text('input_series: [{series: up{job="billing"}, values: 1x10}]\n')
    done = copy.make_name("NAME=billing")
    cases.unlink()

    assert 0 != done.returncode
    assert "another job in observability/ has this name" in done.stderr


def test_a_unit_that_is_there_is_not_overwritten(copy: Copy) -> None:
    unit = copy.folder / "deploy" / "systemd" / "bills.service"
    unit.write_text("[Unit]\n")
    before = copy.content()
    done = copy.make_name("NAME=bills")
    after = copy.content()
    unit.unlink()

    assert 0 != done.returncode
    assert "deploy/systemd/bills.service exists already" in done.stderr
    assert before == after


@pytest.mark.parametrize("environ", [{}, {"NAME": "of-the-machine"}])
def test_without_a_name_it_tells_how_to_give_one(copy: Copy, environ: dict[str, str]) -> None:
    """WSL sets a variable NAME in every environment."""
    before = copy.content()
    done = copy.make_name(**environ)

    assert 0 != done.returncode
    assert "Usage: make name NAME=orders\n" in done.stderr
    assert before == copy.content()


@pytest.mark.parametrize("name", ["a", "o" * 51, "order-api-2"])
def test_a_name_that_fits_is_taken(name: str, tmp_path: Path) -> None:
    assert f"{names.DISTRIBUTION} -> {name}\n" in Copy(tmp_path / "copy").rename(name)
