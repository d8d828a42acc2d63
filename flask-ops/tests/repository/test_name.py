"""`make name` renames the service in every place with its name and nowhere else, and can do so again."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from flask_ops.settings import Settings
from tests.process import BIN, REPOSITORY, running
from tests.programs import require
from tests.repository import names
from tests.repository.renaming import Copy

NAME = "orders"
OTHER_NAME = "shop-2"
UNTOUCHED = ("flask-ops/", "benchmark/", "requirements", "CHANGELOG.md", "LICENSE", "tests/", "template/")


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    copy = Copy(tmp_path_factory.mktemp("renamed") / "copy")
    copy.rename(NAME)
    return copy


def test_distribution_image_and_log_have_the_name(renamed: Copy) -> None:
    assert NAME == tomllib.loads(renamed.text("pyproject.toml"))["project"]["name"]
    assert f'class Settings(flask_ops.Settings, name="{NAME}", ' in renamed.text("service/settings.py")
    assert f'LABEL org.opencontainers.image.title="{NAME}"' in renamed.text("Dockerfile")
    assert f" --tag {NAME} .\n" in renamed.text("Dockerfile")
    workflow = yaml.safe_load(renamed.text(".github/workflows/ci.yml"))["jobs"]["image"]
    assert NAME == workflow["env"]["IMAGE"].partition(":")[0]
    assert [NAME] * 4 == re.findall(
        r"(?:--name|--time=45|\}\}'|docker logs) ([\w-]+)", yaml.safe_dump(workflow, width=1000).replace("''", "'")
    )


def test_the_renamed_service_serves_under_its_name(renamed: Copy, tmp_path: Path) -> None:
    with running([BIN / "gunicorn"], tmp_path, {"SERVICE_BIND": "127.0.0.1:0"}, cwd=renamed.folder) as server:
        assert NAME == server.get("/").json()["name"]
        assert NAME == server.line("request", route="/")["service"]
        assert 0 == server.stop()

    assert {NAME} == {line["service"] for line in server.lines()}


def test_compose_has_the_name_for_project_image_and_service(renamed: Copy) -> None:
    compose = yaml.safe_load(renamed.text("compose.yaml"))
    service = compose["services"][NAME]

    assert NAME == compose["name"]
    assert f"{NAME}:${{SERVICE_VERSION:-latest}}" == service["image"]
    assert {NAME, "proxy"} == set(compose["services"])
    assert {NAME} == set(compose["services"]["proxy"]["depends_on"])
    assert f"server {NAME}:8000 " in renamed.text("deploy/compose/upstream.conf")
    assert "build" in yaml.safe_load(renamed.text("observability/compose.yaml"))["services"][NAME]


def test_every_object_of_kubernetes_has_the_name(renamed: Copy) -> None:
    for overlay in ("development", "production"):
        roots = (REPOSITORY, renamed.folder)
        before, after = (kustomize(root / "deploy/kubernetes/overlays" / overlay) for root in roots)

        assert [places(one, names.KUBERNETES) for one in before] == [places(one, NAME) for one in after], overlay
        (deployment,) = (one for one in after if one["kind"] == "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert (NAME, f"registry.example.com/{NAME}") == (container["name"], container["image"].rpartition(":")[0])


def test_two_services_fit_into_one_namespace(renamed: Copy, tmp_path: Path) -> None:
    """No object has the name of another one, and no selector selects the pods of the other service."""
    other = Copy(tmp_path / "other")
    other.rename(OTHER_NAME)
    selected: dict[str, set[str]] = {}
    objects = []
    for name, copy in ((NAME, renamed), (OTHER_NAME, other)):
        overlay = copy.folder / "deploy/kubernetes/overlays/production"
        kustomization = (overlay / "kustomization.yaml").read_text()
        shared = tmp_path / name
        shutil.copytree(copy.folder / "deploy", shared / "deploy")
        text = kustomization.replace(f"namespace: {name}-production", "namespace: shop")
        (shared / "deploy/kubernetes/overlays/production/kustomization.yaml").write_text(text)
        found = [
            one for one in kustomize(shared / "deploy/kubernetes/overlays/production") if one["kind"] != "Namespace"
        ]
        assert {"shop"} == {one["metadata"]["namespace"] for one in found}
        assert {name} == {one["metadata"]["labels"]["app.kubernetes.io/name"] for one in found}
        selected[name] = set(re.findall(r"app\.kubernetes\.io/name: (\S+)", yaml.safe_dump_all(found)))
        objects += found

    assert {NAME: {NAME}, OTHER_NAME: {OTHER_NAME}} == selected
    identities = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(identities) == len(set(identities))


def kustomize(overlay: Path) -> list[dict[str, Any]]:
    command: list[str | Path] = [require("kubectl"), "kustomize", overlay]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def places(item: dict[str, Any], name: str) -> list[str]:
    """Return kind, name, namespace and labels of an object, with NAME in place of ``name``."""
    metadata = item["metadata"]
    found = [item["kind"], metadata["name"], metadata.get("namespace", ""), *metadata.get("labels", {}).values()]
    selector = item.get("spec", {}).get("selector", {})
    found += selector.get("matchLabels", selector).values()
    assert metadata["name"].startswith(name)
    return [re.sub(rf"^{name}\b", "NAME", text) for text in found]


def test_the_job_of_prometheus_has_the_name_and_the_rules_have_none(renamed: Copy) -> None:
    assert NAME == yaml.safe_load(renamed.text("observability/prometheus.yml"))["scrape_configs"][0]["job_name"]
    for path in (REPOSITORY / "observability").glob("rules/*.yml"):
        assert path.read_text() == renamed.text(f"observability/rules/{path.name}")


def test_pages_have_the_name_of_the_job_and_the_defaults_of_the_library(renamed: Copy) -> None:
    (job,) = re.findall(r"^  - job_name: (.+)$", renamed.text("docs/observability.md"), re.MULTILINE)
    (default,) = re.findall(r"^\| `SERVICE_NAME` \| `(.+?)` \|", renamed.text("docs/reference.md"), re.MULTILINE)

    assert (NAME, Settings.from_environ({}).name) == (job, default)


def test_make_manifests_changes_nothing_after_a_rename(renamed: Copy) -> None:
    before = renamed.content()
    subprocess.run([BIN / "python", renamed.folder / "deploy/kubernetes/manifests.py"], check=True, timeout=20)

    assert before == renamed.content()


def test_the_unit_of_systemd_has_the_name(renamed: Copy) -> None:
    (unit,) = (renamed.folder / "deploy" / "systemd").iterdir()
    lines = unit.read_text().splitlines()

    assert f"{NAME}.service" == unit.name
    for line in (f"ExecStart=/opt/{NAME}/.venv/bin/gunicorn", f"RuntimeDirectory={NAME}", f"SyslogIdentifier={NAME}"):
        assert line in lines
    documents = [renamed.folder / "README.md", *renamed.folder.glob("docs/**/*.md")]
    assert f"deploy/systemd/{NAME}.service" in "".join(path.read_text() for path in documents)


def test_each_proxy_has_the_name(renamed: Copy) -> None:
    nginx, apache, haproxy = (
        renamed.text(f"deploy/{path}") for path in ("nginx/nginx.conf", "apache/apache2.conf", "haproxy/haproxy.cfg")
    )

    assert [NAME] * 3 == re.findall(r"(?: upstream |proxy_pass http://|zone (?=\S+ \d))([\w-]+)", nginx)
    assert {NAME} == set(re.findall(r"balancer://([\w-]+)", apache))
    assert [f"{NAME}-once", NAME, NAME, f"{NAME}-once"] == re.findall(r"(?:backend|_backend) ([\w-]+)", haproxy)
    assert [NAME] * 2 == re.findall(r" track (.+?)/", haproxy)


def test_no_old_name_is_left(renamed: Copy) -> None:
    """These texts are only names. `service` alone is also a word, the package, and a prefix."""
    old = {name for name in (names.DISTRIBUTION, names.UNIT.stem) if "-" in name}
    found = {
        path: name
        for path, content in renamed.content().items()
        for name in old
        if not path.startswith(UNTOUCHED) and name.encode() in content
    }

    assert {} == found


def test_other_files_stay_the_same(renamed: Copy, tmp_path: Path) -> None:
    before, after = Copy(tmp_path / "copy").content(), renamed.content()
    untouched = {path for path in before if path.startswith(UNTOUCHED)}

    assert {"requirements.txt", "requirements-dev.txt", "CHANGELOG.md", "flask-ops/pyproject.toml"} <= untouched
    assert [] == [path for path in untouched if before[path] != after[path]]


def test_a_second_rename_leaves_nothing_of_the_first(renamed: Copy, tmp_path: Path) -> None:
    twice, once = Copy(tmp_path / "twice"), Copy(tmp_path / "once")
    twice.rename(NAME)
    assert renamed.content() == twice.content()

    twice.rename(OTHER_NAME)
    once.rename(OTHER_NAME)

    assert once.content() == twice.content()


def test_it_prints_each_file_that_it_changes(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "copy")
    before = copy.content()
    printed = copy.rename(NAME)
    after = copy.content()

    changed = {path for path, content in before.items() if after.get(path) != content}
    assert changed == set(re.findall(r"^  ([\w./-]+\.\w+|Dockerfile)\b", printed, re.MULTILINE))
    assert f"\n{len(changed)} files changed:\n" in printed

    assert f"The service is called {NAME} already. No file was changed.\n" == copy.rename(NAME)
    assert after == copy.content()


def test_manual_changes_survive_a_rename(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "copy")
    (copy.folder / "compose.yaml").unlink()
    (copy.folder / "deploy" / "apache" / "apache2.conf").write_text("# none\n")
    kustomization = copy.folder / "deploy/kubernetes/overlays/production/kustomization.yaml"
    changed = re.sub(r"^namespace: .+$", "namespace: prod", kustomization.read_text(), flags=re.MULTILINE)
    kustomization.write_text(changed, newline="\r\n")

    copy.rename(OTHER_NAME)

    assert "# none\n" == copy.text("deploy/apache/apache2.conf")
    assert "namespace: prod\n" in kustomization.read_text()
    assert f"\r\n  - name: {OTHER_NAME}-environment\r\n".encode() in kustomization.read_bytes()
