# Two images: `worker`, with the base install, confluent-kafka and the client of a schema registry, and `trainer`. In
# both, the locked packages are one layer and the project is another, so that a change of code ships a few hundred
# kilobytes.

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/build.txt requirements/
RUN pip install --require-hashes -r requirements/build.txt
COPY . .
# Hatchling gives every file in the wheel the same date: same code, same wheel.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

FROM python:3.12-slim AS worker-packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
COPY requirements/avro.txt requirements/
RUN pip --python /opt/venv/bin/python install --require-hashes -r requirements/avro.txt

FROM worker-packages AS trainer-packages
COPY requirements/trainer.txt requirements/
RUN pip --python /opt/venv/bin/python install --require-hashes -r requirements/trainer.txt

FROM python:3.12-slim AS runtime
# HOME: a numeric user has no home directory, and /tmp is the only place that a read-only container can write to.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp MODELS_DIR=/models
# A new volume inherits this folder's owner. The user is a number, so that an orchestrator can see that it is not root.
RUN install -d -o 10001 -g 10001 /models
WORKDIR /tmp
USER 10001:10001

FROM runtime AS trainer
COPY --from=trainer-packages /opt/venv /opt/venv
USER 0
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --root-user-action=ignore /wheel/*.whl
USER 10001:10001
ENTRYPOINT ["segment-trainer"]
CMD ["--help"]

# Last, so that `docker build .` builds it.
FROM runtime AS worker
COPY --from=worker-packages /opt/venv /opt/venv
USER 0
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --root-user-action=ignore /wheel/*.whl
USER 10001:10001
ENV KAFKA_CLIENT=confluent WORKER_HTTP_HOST=0.0.0.0 WORKER_HTTP_PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"WORKER_HTTP_PORT\"]}/readyz', timeout=4)"]
ENTRYPOINT ["segment-worker"]
CMD ["run"]
