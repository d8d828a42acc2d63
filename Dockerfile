# The service as an image, for Docker, Podman and Kubernetes:
#
#   docker build --build-arg SERVICE_VERSION="$(git rev-parse --short HEAD)" --tag service .
#
# A tag moves. For builds that can be repeated, pin the base by its digest as well, and have a bot renew it:
# `docker buildx imagetools inspect python:3.13-slim-trixie` prints it, and it goes behind the tag as @sha256:...
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# Compiled here, kept apart from the sources: the image of Python comes without its compiled modules, and in
# a file system that is read-only each start would compile all it imports again.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONPYCACHEPREFIX=/opt/compiled
WORKDIR /srv/service
COPY requirements.txt .
# Neither pip nor a compiler is in what goes on from here.
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
# The second command loads the application: what cannot start is no image. It also compiles what it imports
# of Python itself.
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
# A number, by which Kubernetes can tell that it is not root. Nothing in the image belongs to it.
USER 10001:10001
# Publish the first one. The second one is for probes and Prometheus, and nobody else.
EXPOSE 8000 8001
# Alive, not ready: who restarts what is unhealthy must not do it because a dependency is down.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-m", "flask_ops", "healthcheck"]
STOPSIGNAL SIGTERM
CMD ["gunicorn"]
# Last, because it changes with each build.
ARG SERVICE_VERSION=
ENV SERVICE_VERSION=${SERVICE_VERSION}
LABEL org.opencontainers.image.version="${SERVICE_VERSION}"
