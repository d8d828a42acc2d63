"""The objects that kubectl renders from deploy/kubernetes, and functions that look things up in them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from flask_ops.core.settings import Settings
from tests.process import REPOSITORY
from tests.programs import require
from tests.repository import names

KUBERNETES = REPOSITORY / "deploy" / "kubernetes"
OBSERVABILITY = REPOSITORY / "observability"
CONTAINER = {"SERVICE_BIND": "0.0.0.0:8000", "SERVICE_MANAGEMENT_BIND": "0.0.0.0:8001"}
"""Variables that the Dockerfile sets."""
Object = dict[str, Any]


@cache
def rendered(overlay: Path) -> list[Object]:
    """Return the objects of an overlay."""
    command = [str(require("kubectl")), "kustomize", str(overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return list(yaml.safe_load_all(done.stdout))


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """Return the objects of one kind."""
    return [item for item in objects if item["kind"] == kind]


def one(objects: list[Object], kind: str, name: str = names.KUBERNETES) -> Object:
    """Return the only object of this kind and name."""
    (found,) = (item for item in of_kind(objects, kind) if item["metadata"]["name"] == name)
    return found


def pod(objects: list[Object]) -> Object:
    """Return the specification of the pods."""
    return dict(one(objects, "Deployment")["spec"]["template"]["spec"])


def container(objects: list[Object]) -> Object:
    """Return the pods' only container."""
    (found,) = pod(objects)["containers"]
    return dict(found)


def environment(objects: list[Object]) -> dict[str, str]:
    """Return the variables of the container."""
    (source,) = container(objects)["envFrom"]
    (config,) = (o for o in of_kind(objects, "ConfigMap") if o["metadata"]["name"] == source["configMapRef"]["name"])
    return {**CONTAINER, **config["data"]}


def settings(objects: list[Object]) -> Settings:
    """Return the settings that the service reads there."""
    return Settings.from_environ(environment(objects))
