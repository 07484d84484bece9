# One image for every role of docker-compose.yml; the command names the role.
FROM python:3.12-slim AS source
RUN useradd --create-home --uid 10001 tidewatch
WORKDIR /opt/tidewatch
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY alerts alerts
COPY config config
COPY gateway gateway
COPY models models
COPY sinks sinks
COPY streams streams
COPY tidewatch tidewatch
ENV PYTHONPATH=/opt/tidewatch PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# What runs for every event, compiled; the compiler stays here.
FROM source AS compiled
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY requirements-dev.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-dev.lock
COPY scripts/compile.py scripts/compile.py
RUN python scripts/compile.py && mkdir -p build

FROM source
COPY --from=compiled /opt/tidewatch/build build
RUN mkdir /var/lib/tidewatch && chown tidewatch /var/lib/tidewatch
USER tidewatch
ENTRYPOINT ["python", "-m", "tidewatch.cli"]
