"""The places in this repository that contain the service's name, sorted by the role of the name.

Each pattern includes much of its line. So it does not match the English word, the package ``service``, the metrics
``service_*`` or the settings ``SERVICE_*``. ``@`` stands for the name: see ``role.py``.
"""

from __future__ import annotations

from role import Role

DOCUMENTS = ("*.md", "docs/**/*.md", "deploy/**/*.md", "observability/**/*.md")
CHANGELOG = "CHANGELOG.md"
"""The changelog keeps old names. The glob ``*.md`` matches it, so `make name` skips it."""
UNITS = "deploy/systemd/*.service"

ROLES = (
    Role(
        "distribution",
        ("pyproject.toml", r'^name = "@"'),
        ((("Dockerfile",), (r'image\.title="@"',)),),
    ),
    Role(
        "log",
        ("service/settings.py", r'^class Settings\(.*\bname="@"'),
        (
            (
                DOCUMENTS,
                (
                    r'"name":"@"',
                    r'"service":"@"',
                    r"answers for @ \d",
                    r"--tag @ \.$",
                    r"^\$ docker run .* @$",
                ),
            ),
            (("Dockerfile",), (r"--tag @ \.$",)),
        ),
    ),
    Role(
        "image",
        ("compose.yaml", r"^    image: @:\$"),
        (
            (("deploy/kubernetes/base/deployment.yaml",), (r"^ +image: @$",)),
            (
                ("deploy/kubernetes/overlays/*/kustomization.yaml",),
                (r"^images:\n(?: +#.*\n)*  - name: @$", r"^    newName: \S+/@$", r"set image @="),
            ),
            ((".github/workflows/*.yml",), (r"^ +IMAGE: @:",)),
        ),
    ),
    Role("Compose project", ("compose.yaml", r"^name: @$"), ()),
    Role(
        "Compose service",
        ("compose.yaml", r"^  @:\n    build:"),
        (
            (("compose.yaml",), (r"^    depends_on:\n      @:$",)),
            (("observability/compose.yaml",), (r"^  @:\n    build:",)),
            (("deploy/compose/upstream.conf",), (r"^server @:\d",)),
        ),
    ),
    Role(
        "container in CI",
        (".github/workflows/*.yml", r"docker run --detach --name @$"),
        (((".github/workflows/*.yml",), (r"docker stop --time=\d+ @$", r"ExitCode\}\}' @\)", r"docker logs @$")),),
    ),
    Role(
        "Kubernetes",
        ("deploy/kubernetes/base/deployment.yaml", r"^metadata:\n  name: @$"),
        (
            (
                ("deploy/kubernetes/**/*.yaml",),
                (
                    r"^metadata:\n  name: @(?:-management)?$",
                    r"app\.kubernetes\.io/name: @$",
                    r"^        - name: @\n          image:",
                    r"(?:configMapRef|secretKeyRef):\n +name: @(?:-environment)?$",
                    r"^    kind: Deployment\n    name: @$",
                    r"^  - name: @-environment$",
                    r"^replicas:\n  - name: @$",
                    r"^namespace: @-",
                    r"^kind: Namespace\nmetadata:\n  name: @-",
                    r"label `job` becomes `@`",
                ),
            ),
        ),
    ),
    Role(
        "Prometheus job",
        ("observability/prometheus.yml", r"^  - job_name: @$"),
        ((DOCUMENTS, (r"^  - job_name: @$",)),),
    ),
    Role(
        "systemd unit",
        (UNITS, r"^SyslogIdentifier=@$"),
        (
            (
                (UNITS,),
                (
                    r"/opt/@(?=[/ \n])",
                    r"/etc/@\.(?:env|token)\b",
                    r"/run/@/",
                    r"=%t/@$",
                    r"^RuntimeDirectory=@$",
                    r"deploy/systemd/@\.service\b",
                    r"enable --now @$",
                ),
            ),
            (
                DOCUMENTS,
                (r"deploy/systemd/@\.service\b", r"/opt/@(?=[`/\n])", r"/etc/@\.env\b", r"enable --now @$"),
            ),
        ),
    ),
    Role(
        "nginx",
        ("deploy/nginx/nginx.conf", r"^    upstream @ \{"),
        ((("deploy/nginx/nginx.conf",), (r"zone @ \d", r"http://@;")),),
    ),
    Role(
        "Apache",
        ("deploy/apache/apache2.conf", r"<Proxy balancer://@>"),
        ((("deploy/apache/apache2.conf",), (r"balancer://@%", r"balancer://@/")),),
    ),
    Role(
        "HAProxy",
        ("deploy/haproxy/haproxy.cfg", r"^backend @$"),
        (
            (
                ("deploy/haproxy/haproxy.cfg",),
                (r"^backend @-once$", r"use_backend @-once ", r"default_backend @$", r" track @/"),
            ),
        ),
    ),
)
