# Everything the service needs is in the lock file, with hashes; the first stage installs it, the second one runs it.
FROM python:3.11-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python -m venv /opt/emberwatch
ENV PATH=/opt/emberwatch/bin:$PATH

WORKDIR /src
COPY requirements.lock ./
RUN pip install --require-hashes --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY detectors detectors
COPY alerts alerts
COPY store store
COPY streams streams
COPY console console
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools wheel pip


FROM python:3.11-slim

LABEL org.opencontainers.image.title="emberwatch" \
      org.opencontainers.image.description="Streaming anomaly detection and alerting for the cost of AI infrastructure" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN groupadd --system --gid 10001 emberwatch \
    && useradd --system --uid 10001 --gid emberwatch --home-dir /var/lib/emberwatch --shell /usr/sbin/nologin emberwatch \
    && install --directory --owner=emberwatch --group=emberwatch --mode=0750 /var/lib/emberwatch

COPY --from=build /opt/emberwatch /opt/emberwatch
ENV PATH=/opt/emberwatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp \
    EMBERWATCH_LIVEZ=http://127.0.0.1:8787/livez

USER emberwatch
WORKDIR /var/lib/emberwatch
VOLUME /var/lib/emberwatch
# the console of `run` and `serve`; the metrics and the health of `worker`
EXPOSE 8787 9464

# a worker answers elsewhere: it is given EMBERWATCH_LIVEZ=http://127.0.0.1:9464/livez
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['EMBERWATCH_LIVEZ'], timeout=3)"]

STOPSIGNAL SIGTERM
ENTRYPOINT ["emberwatch"]
CMD ["--help"]
