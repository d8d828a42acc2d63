# The service as an image, for Docker, Podman and Kubernetes:
#
#   docker build --build-arg SERVICE_VERSION="$(git rev-parse --short HEAD)" --tag service .
#
# A tag moves. For reproducible builds, add the digest of the base behind the tag, as @sha256:... A bot can renew it.
# `docker buildx imagetools inspect python:3.13-slim-trixie` prints the digest.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# Python's image has no compiled modules. In a read-only file system, each start would compile every import again.
# So the build compiles them into a separate folder.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONPYCACHEPREFIX=/opt/compiled
WORKDIR /srv/service
COPY requirements.txt .
# The final image has neither pip nor a compiler.
RUN python -m venv --without-pip /opt/venv \
    && PYTHONDONTWRITEBYTECODE=1 python -m pip --python /opt/venv/bin/python install \
        --require-hashes --only-binary :all: --no-compile --requirement requirements.txt
# library: begin
# The library, from this repository.
COPY flask-ops flask-ops
RUN python -m pip install --require-hashes --only-binary :all: --requirement flask-ops/requirements-build.txt \
    && python -m pip wheel --no-deps --no-build-isolation --wheel-dir wheels ./flask-ops \
    && PYTHONDONTWRITEBYTECODE=1 python -m pip --python /opt/venv/bin/python install --no-deps --no-index --no-compile wheels/*.whl
# library: end
ENV PATH=/opt/venv/bin:$PATH
COPY gunicorn.conf.py ./
COPY service service
# The second command loads the application, so the build fails if the service cannot start. It also compiles the modules
# of Python that the service imports.
RUN python -m compileall -q /opt/venv/lib service gunicorn.conf.py \
    && gunicorn --check-config

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="production-flask-service" \
      org.opencontainers.image.description="A Flask service for production: health-checked, monitored." \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/compiled \
    PYTHONUNBUFFERED=1 \
    SERVICE_BIND=0.0.0.0:8000 \
    SERVICE_MANAGEMENT_BIND=0.0.0.0:8001
WORKDIR /srv/service
COPY --from=build /opt /opt
COPY --from=build /srv/service/gunicorn.conf.py ./
COPY --from=build /srv/service/service service
# A number, because Kubernetes cannot tell from a name that it is not root. It owns no file in the image.
USER 10001:10001
# Publish only the first. The second is for probes and Prometheus.
EXPOSE 8000 8001
# Liveness, not readiness: a restart does not repair a dependency that is down.
# The command waits for 2 s and then says why. On a busy host, its own start may take as long again.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["python", "-m", "flask_ops", "healthcheck"]
STOPSIGNAL SIGTERM
CMD ["gunicorn"]
# Last, because it changes with each build.
ARG SERVICE_VERSION=
ENV SERVICE_VERSION=${SERVICE_VERSION}
LABEL org.opencontainers.image.version="${SERVICE_VERSION}"
