# The server in a container. Build it with: docker build --tag workertown-kv .
FROM python:3.13-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source

# What changes less often comes first, so that it is kept from one build to the next.
COPY requirements/run.txt requirements/run.txt
RUN python -m venv /opt/workertown-kv \
    && /opt/workertown-kv/bin/pip install --require-hashes --requirement requirements/run.txt

COPY pyproject.toml README.md LICENSE ./
COPY clients/js/workertown-kv.js clients/js/
COPY src src
RUN /opt/workertown-kv/bin/pip install --no-deps --no-build-isolation . \
    && /opt/workertown-kv/bin/pip uninstall --yes hatchling editables pip

FROM python:3.13-slim-bookworm

# A number that no user of the host has.
RUN groupadd --gid 10001 kv \
    && useradd --uid 10001 --gid kv --no-create-home --home-dir /data --shell /usr/sbin/nologin kv \
    && install --directory --owner kv --group kv --mode 0700 /data

COPY --from=build /opt/workertown-kv /opt/workertown-kv

# Nothing is written but the data: the root file system may be read-only.
ENV PATH=/opt/workertown-kv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    KV_HOST=0.0.0.0 \
    KV_PORT=8787 \
    KV_DB=/data/kv.sqlite

WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8787
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"KV_PORT\"]}/health', timeout=4)"]

ENTRYPOINT ["workertown-kv"]
CMD ["serve"]
