"""The rule for the service's name. One name must be valid for every use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

LONGEST = 51
"""NAME-development is a Kubernetes namespace, which is a DNS label of at most 63 characters."""
RULE = f"1 to {LONGEST} lower-case letters, digits and single hyphens; a letter first, no hyphen last"

_FORMS = (
    (r"", "it is empty"),
    (rf".{{{LONGEST + 1},}}", f"it is longer than {LONGEST}: NAME-development is a DNS label (RFC 1123), at most 63"),
    (r".*[A-Z].*", "image names and DNS labels (RFC 1123) have no upper-case letters"),
    (r"(?s:.*[^a-z0-9-].*)", "DNS labels (RFC 1123) have only letters, digits and hyphens"),
    (r"[^a-z].*", "the name of a Service in Kubernetes (RFC 1035) and SERVICE_NAME start with a letter"),
    (r".*-", "distributions, images and DNS labels (RFC 1123) do not end with a hyphen"),
    (r".*--.*", "to package indexes several hyphens are the same as one (PEP 503)"),
)
_YAML = frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"})
_SYSTEM = frozenset(
    {"apache2", "containerd", "credentials", "cron", "dbus", "docker", "haproxy", "initctl", "lock", "log", "mount"}
    | {"network", "nginx", "private", "shm", "ssh", "sshd", "sudo", "systemd", "udev", "user", "utmp"}
)
"""Folders in ``/run``. Some are also units of systemd."""


def refusal(name: str, root: Path) -> str | None:
    """Return why the repository in ``root`` cannot be called ``name``, or None if it can."""
    for pattern, reason in _FORMS:
        if re.fullmatch(pattern, name):
            return reason
    if name in _YAML:
        return "in YAML, which Compose and Kubernetes read, this word is not a text"
    if name == "kube" or name.startswith("kube-"):
        return "namespaces that start with kube- belong to Kubernetes"
    if name in _SYSTEM:
        return f"/run/{name} belongs to the system; systemd removes the service's RuntimeDirectory= at each stop"
    if name == "localhost":
        return "to a proxy this is the machine itself"
    if name in _dependencies(root):
        return "this is the name of a dependency, which `make lock` could not tell from the service"
    if name in _neighbours(root):
        return "another service of compose.yaml or observability/compose.yaml has this name"
    if name in _other_jobs(root):
        return "another job in observability/prometheus.yml has this name"
    return None


def _dependencies(root: Path) -> set[str]:
    return {"flask-ops", *_found(root.glob("requirements*.txt"), r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?(?:==| @ )")}


def _neighbours(root: Path) -> set[str]:
    files = (path for path in (root / "compose.yaml", root / "observability" / "compose.yaml") if path.exists())
    # The service itself has `build:` first, so this pattern does not match it.
    return _found(files, r"^  ([\w-]+):\n(?:    #.*\n)*    (?:image|command|container_name):")


def _other_jobs(root: Path) -> set[str]:
    path = root / "observability" / "prometheus.yml"
    jobs = re.findall(r"^  - job_name: (\S+)$", path.read_text("utf-8"), re.MULTILINE) if path.exists() else []
    return set(jobs[1:])  # the first one is the service


def _found(files: Iterable[Path], pattern: str) -> set[str]:
    return {name for path in files for name in re.findall(pattern, path.read_text("utf-8"), re.MULTILINE)}
