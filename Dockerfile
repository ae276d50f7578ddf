# One image for the web server, the bot and the workers: the command says which.
FROM python:3.11-slim-bookworm AS packages
COPY requirements-server.lock /
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements-server.lock \
 && /venv/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DEBUG=0 SANDBOX=0 POSTER_DIR=/data/posters THUMBNAIL_DIR=/data/thumbnails
# nobody's id on the host; the only place it may write is /data
RUN useradd --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin kinoteka
COPY --from=packages /venv /venv
COPY . /app
WORKDIR /app
RUN python -m compileall -q .
USER kinoteka
VOLUME /data
EXPOSE 8000
CMD ["gunicorn", "--bind", "0.0.0.0:8000"]
