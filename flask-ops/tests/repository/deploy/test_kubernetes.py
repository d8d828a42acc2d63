"""The objects of deploy/kubernetes are valid and hardened, and fit the service."""

from __future__ import annotations

import shutil
import tomllib

import kubernetes_validate
import pytest

from flask_ops.core.settings import Settings
from tests.process import REPOSITORY
from tests.repository import names
from tests.repository.adopted import complaints
from tests.repository.deploy.kubernetes import (
    CONTAINER,
    KUBERNETES,
    OBSERVABILITY,
    Object,
    container,
    environment,
    of_kind,
    one,
    pod,
    rendered,
    settings,
)


@pytest.fixture(scope="module", params=["development", "production", "production without custom metrics"])
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    name, _, variant = str(request.param).partition(" ")
    root = REPOSITORY
    if variant:
        root = tmp_path_factory.mktemp("copy")
        shutil.copytree(KUBERNETES, root / "deploy" / "kubernetes")
        shutil.copytree(OBSERVABILITY, root / "observability")
        file = root / "deploy" / "kubernetes" / "overlays" / name / "kustomization.yaml"
        before = file.read_text()
        file.write_text(before.replace("autoscaling-saturation\n", "autoscaling-cpu\n"))
        assert file.read_text() != before
    return rendered(root / "deploy" / "kubernetes" / "overlays" / name)


@pytest.fixture
def production() -> list[Object]:
    return rendered(KUBERNETES / "overlays" / "production")


def test_each_object_is_what_kubernetes_accepts(objects: list[Object]) -> None:
    for item in objects:
        if not item["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(item, "1.37", strict=True)
            kubernetes_validate.validate(item, "1.31", strict=True)


def test_the_pods_keep_the_restricted_security_standard(objects: list[Object]) -> None:
    """The requirements are in https://kubernetes.io/docs/concepts/security/pod-security-standards/."""
    spec, service = pod(objects), container(objects)
    assert {"hostNetwork", "hostPID", "hostIPC", "initContainers"}.isdisjoint(spec)
    assert {"emptyDir"} == {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert {"type": "RuntimeDefault"} == spec["securityContext"]["seccompProfile"]
    expected = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert expected == service["securityContext"]
    assert not any("hostPort" in port for port in service["ports"])
    (namespace,) = of_kind(objects, "Namespace")
    assert "restricted" == namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert {namespace["metadata"]["name"]} == {o["metadata"]["namespace"] for o in objects if o != namespace}


def test_user_and_settings_are_those_of_the_image_and_the_service_accepts_them(objects: list[Object]) -> None:
    """No object of kind Service gives the pods variables that begin like ours."""
    dockerfile, context = (REPOSITORY / "Dockerfile").read_text(), pod(objects)["securityContext"]

    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in dockerfile
    assert [] == [name for name, bind in CONTAINER.items() if f"{name}={bind}" not in dockerfile]
    assert {"unknown": [], "error": ""} == complaints(environment(objects))
    assert settings(objects).mode == "production"
    assert pod(objects)["enableServiceLinks"] is False


def test_the_ports_are_those_of_the_settings(objects: list[Object]) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(objects)["ports"]}
    defaults = Settings.from_environ({})
    assert defaults.management_bind is not None

    expected = {"http": defaults.bind.port, "management": defaults.management_bind.port}
    assert expected.items() <= ports.items()
    for service in of_kind(objects, "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
    for rule in one(objects, "NetworkPolicy")["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= set(ports)


def test_every_selector_selects_the_pods(objects: list[Object]) -> None:
    template = one(objects, "Deployment")["spec"]["template"]
    labels = template["metadata"]["labels"]
    spread = [constraint["labelSelector"] for constraint in template["spec"]["topologySpreadConstraints"]]
    selectors = [
        one(objects, "Deployment")["spec"]["selector"],
        one(objects, "PodDisruptionBudget")["spec"]["selector"],
        one(objects, "NetworkPolicy")["spec"]["podSelector"],
        *spread,
    ]

    assert [labels] * (3 + 2) == [selector["matchLabels"] for selector in selectors]
    assert {"kubernetes.io/hostname", "topology.kubernetes.io/zone"} == {
        constraint["topologyKey"] for constraint in template["spec"]["topologySpreadConstraints"]
    }
    for service in of_kind(objects, "Service"):
        assert labels == service["spec"]["selector"]


def test_the_probes_ask_the_management_address_and_a_stop_fits_into_the_grace(objects: list[Object]) -> None:
    service, now = container(objects), settings(objects)
    probes = {name: probe["httpGet"] for name, probe in service.items() if name.endswith("Probe")}

    # Neither a start nor a restart may depend on other services.
    paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert {name: (path, "management") for name, path in paths.items()} == {
        name: (asked["path"], asked["port"]) for name, asked in probes.items()
    }
    assert pod(objects)["terminationGracePeriodSeconds"] >= now.drain_seconds + now.graceful_seconds + 5
    readiness = service["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] <= now.drain_seconds
    assert "lifecycle" not in service


def test_the_management_port_is_for_monitoring_alone(objects: list[Object]) -> None:
    policy = one(objects, "NetworkPolicy")["spec"]
    assert ["Ingress"] == policy["policyTypes"]

    (rule,) = (rule for rule in policy["ingress"] if {"port": "management"} in rule["ports"])
    assert [{"port": "management"}] == rule["ports"]
    (source,) = rule["from"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}} == source
    assert ["http"] == [port["name"] for port in one(objects, "Service")["spec"]["ports"]]


def test_only_the_trusted_proxy_can_connect(production: list[Object]) -> None:
    assert settings(production).trusted_proxies == 1

    (rule,) = (r for r in one(production, "NetworkPolicy")["spec"]["ingress"] if {"port": "http"} in r["ports"])
    (source,) = rule["from"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}} == source


def test_development_trusts_no_proxy_and_is_open_to_the_cluster() -> None:
    development = rendered(KUBERNETES / "overlays" / "development")

    assert settings(development).trusted_proxies == 0
    assert 1 == one(development, "Deployment")["spec"]["replicas"]
    assert [] == of_kind(development, "HorizontalPodAutoscaler") + of_kind(development, "ServiceMonitor")


def test_production_leaves_the_number_of_pods_to_the_autoscaler(objects: list[Object]) -> None:
    deployment = one(objects, "Deployment")
    for autoscaler in of_kind(objects, "HorizontalPodAutoscaler"):
        assert "replicas" not in deployment["spec"]
        target = autoscaler["spec"]["scaleTargetRef"]
        assert (deployment["apiVersion"], deployment["kind"], names.KUBERNETES) == (*target.values(),)
        assert autoscaler["spec"]["minReplicas"] >= 2


def test_one_version_of_the_service_is_deployed(production: list[Object]) -> None:
    name = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["name"]
    image, _, version = container(production)["image"].rpartition(":")

    assert name == image.rpartition("/")[2]
    assert version not in {"", "latest"}
