"""`make manifests`: make manifests for Prometheus's operator and Grafana's sidecar from the files of observability/.

The content of a rule file is a valid ``spec`` of a PrometheusRule. It is copied as text, with its comments. The
dashboards stay in their folder: kustomize makes a ConfigMap of them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = Path("observability/rules")
DASHBOARDS = Path("observability/grafana/dashboards")
PROMETHEUS_RULES = Path("deploy/kubernetes/components/monitoring/rules")
_MADE = "# Made by `make manifests` from {}. Edits here are lost."
_KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization"


def made() -> dict[Path, str]:
    """Return the content of each generated file, by its path in the repository."""
    rules = sorted((ROOT / RULES).glob("*.yml"))
    dashboards = sorted(path.name for path in (ROOT / DASHBOARDS).glob("*.json"))
    return {
        **{PROMETHEUS_RULES / f"{path.stem}.yaml": _prometheus_rule(path) for path in rules},
        PROMETHEUS_RULES / "kustomization.yaml": _list_of_rules(path.stem for path in rules),
        # In the folder of the dashboards, because kustomize reads no file outside of its own folder.
        DASHBOARDS / "kustomization.yaml": _config_map(dashboards),
    }


def _prometheus_rule(path: Path) -> str:
    head = f"""{_MADE.format(path.relative_to(ROOT))}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: service-{path.stem}
spec:
"""
    return head + textwrap.indent(path.read_text(), "  ")


def _list_of_rules(names: Iterable[str]) -> str:
    head = f"""{_MADE.format(RULES)}
{_KUSTOMIZATION}
metadata:
  name: service-rules
resources:
"""
    return head + "".join(f"  - {name}.yaml\n" for name in names)


def _config_map(files: Iterable[str]) -> str:
    # The sidecar of Grafana's Helm chart finds dashboards by this label.
    head = f"""{_MADE.format(DASHBOARDS)}
{_KUSTOMIZATION}
configMapGenerator:
  - name: service-dashboards
    options:
      disableNameSuffixHash: true
      labels:
        grafana_dashboard: "1"
    files:
"""
    return head + "".join(f"      - {name}\n" for name in files)


if __name__ == "__main__":
    for stale in (ROOT / PROMETHEUS_RULES).glob("*.yaml"):
        stale.unlink()
    for path, content in made().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(content)
