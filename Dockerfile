# The whole system in one image: Postgres binaries, Ray, API, dashboard and simulator come from requirements.lock.
# docker compose up --build   is the short way; see docker-compose.yml for ports and data.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    UV_NO_PROGRESS=1 \
    UV_LINK_MODE=copy \
    VIRTUAL_ENV=/app/.venv \
    PATH=/app/.venv/bin:$PATH

# Not root: Postgres refuses to run as root, and nothing here needs it.
RUN useradd --create-home --uid 10001 mexcbot \
    && mkdir /app /data \
    && chown mexcbot:mexcbot /app /data
USER mexcbot
WORKDIR /app

# The locked packages first: they change less often than the code. The version of uv is the Makefile's.
COPY --chown=mexcbot:mexcbot Makefile requirements.lock ./
RUN python -m venv .venv \
    && .venv/bin/pip install --quiet --no-cache-dir "uv==$(sed -n 's/^UV_VERSION := //p' Makefile)" \
    && .venv/bin/uv pip sync --no-cache --compile-bytecode --require-hashes requirements.lock

COPY --chown=mexcbot:mexcbot . .
RUN uv pip install --no-cache --no-deps --no-build-isolation --editable . \
    && python -m compileall -q actors api dashboard simulator trading

VOLUME /data
ENV MEXCBOT_DATA_DIR=/data
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "actors.cli"]
CMD ["up"]
