"""`make manifests`: make manifests for Prometheus's operator and Grafana's sidecar from the files of observability/.

All rule files together make one PrometheusRule. They are copied as text, with their comments. The dashboards stay in
their folder: kustomize makes a ConfigMap of them. Both serve all services of a cluster, so they have no service's name.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = Path("observability/rules")
DASHBOARDS = Path("observability/grafana/dashboards")
PROMETHEUS_RULE = Path("deploy/kubernetes/cluster/prometheusrule.yaml")
_MADE = "# Made by `make manifests` from {}. Edits here are lost."


def made() -> dict[Path, str]:
    """Return the content of each generated file, by its path in the repository."""
    dashboards = sorted(path.name for path in (ROOT / DASHBOARDS).glob("*.json"))
    return {
        PROMETHEUS_RULE: _prometheus_rule(sorted((ROOT / RULES).glob("*.yml"))),
        # In the folder of the dashboards, because kustomize reads no file outside of its own folder.
        DASHBOARDS / "kustomization.yaml": _config_map(dashboards),
    }


def _prometheus_rule(paths: Iterable[Path]) -> str:
    head = f"""{_MADE.format(RULES)}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: flask-ops
spec:
  groups:
"""
    return head + "\n".join(map(_groups, paths))


def _groups(path: Path) -> str:
    """Return the groups of a rule file after the comments at its beginning, indented."""
    comments, _, groups = path.read_text().partition("groups:\n")
    return textwrap.indent(textwrap.indent(comments, "  ") + groups, "  ")


def _config_map(files: Iterable[str]) -> str:
    # The sidecar of Grafana's Helm chart finds dashboards by this label.
    head = f"""{_MADE.format(DASHBOARDS)}
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
configMapGenerator:
  - name: flask-ops-dashboards
    options:
      disableNameSuffixHash: true
      labels:
        grafana_dashboard: "1"
    files:
"""
    return head + "".join(f"      - {name}\n" for name in files)


if __name__ == "__main__":
    for path, content in made().items():
        (ROOT / path).write_text(content)
