# distilflow's environment and code in one image: the lock file's packages, git, DVC, and a non-root user.
#
#   docker build --tag distilflow --build-arg REVISION="$(git rev-parse HEAD)" .
#   docker build --tag distilflow:cpu --build-arg TORCH=torch==2.13.0+cpu --secret id=pip.conf,src=pip.conf .
#
# CUDA comes with torch's default build for Linux, and the machine's container toolkit adds the driver. So the base is
# plain Debian, which has Python 3.11; another base needs apt and that Python (the CUDA images on Ubuntu 22.04 have only a
# release candidate). Details: docs/containers.md.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      ca-certificates git python3.11 python3.11-venv \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log

# Flows and stages write outside of the repository only below /cache, which the user owns.
ARG USER_ID=1000
RUN useradd --uid ${USER_ID} --create-home --shell /bin/bash distilflow \
 && install --directory --owner distilflow --group distilflow \
      /app /app/outputs /cache /cache/dvc /cache/huggingface /cache/prefect /cache/mlflow

ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/cache/huggingface \
    PREFECT_HOME=/cache/prefect \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/cache/prefect/ui \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    DO_NOT_TRACK=1 \
    DVC_NO_ANALYTICS=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false

# Packages before the code: an edit to a .py file does not rebuild them. The optional secret is your own pip.conf (a
# mirror, an index of CPU builds); it is not stored in the image.
COPY requirements/requirements.lock /opt/requirements.lock
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3.11 -m venv /opt/venv \
 && pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
      --requirement /opt/requirements.lock
# No hash for torch: CPU and CUDA builds of one version differ. Its CUDA packages are installed with it if needed.
# Checked because the lock was made on another Python 3.11, and some packages need more on the base's.
ARG TORCH=torch==2.13.0
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --quiet --no-cache-dir --disable-pip-version-check "${TORCH}" \
 && pip check
# One DVC cache on a volume, for /app and every clone made in a container.
RUN dvc config --system cache.dir /cache/dvc

WORKDIR /app
COPY --chown=distilflow:distilflow . .
USER distilflow
# /app is a copy, not a git repository: DVC must be told. A clone beside it is one, and is not affected.
RUN dvc config --local core.no_scm true
VOLUME ["/cache/dvc", "/cache/huggingface"]

ARG REVISION=unknown
LABEL org.opencontainers.image.title="distilflow" \
      org.opencontainers.image.description="Distils text classifiers: DVC stages, Prefect flows, MLflow registry" \
      org.opencontainers.image.revision="${REVISION}"
CMD ["python", "-m", "flows", "--help"]
