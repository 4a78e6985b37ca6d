# One image for every role; docker-compose.yml says which command runs where.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements.txt
COPY pyproject.toml LICENSE NOTICE ./
COPY alembic alembic
COPY api api
COPY cli cli
COPY clinical clinical
COPY core core
COPY dev dev
COPY docs/openapi.json docs/openapi.json
COPY integrations integrations
COPY jobs jobs
COPY models models
COPY schemas schemas
COPY services services

RUN useradd --system --create-home physio && install -d -o physio -g physio -m 0700 /data
USER physio
ENV PHYSIO_DATA_DIR=/data
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["python", "-m", "cli"]
CMD ["serve"]
