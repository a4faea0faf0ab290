# The service alone: slim, without build tools, as a user without rights. glibc is needed (conditions), so no Alpine.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/authz && /opt/authz/bin/pip install --quiet --upgrade "pip>=25.1"
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY authz ./authz
COPY schema_dsl ./schema_dsl
RUN /opt/authz/bin/pip install --quiet --no-cache-dir --constraint constraints.txt ".[postgres]" tzdata

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/authz --create-home authz
COPY --from=build /opt/authz /opt/authz
ENV PATH=/opt/authz/bin:$PATH PYTHONUNBUFFERED=1 AUTHZ_DATASTORE_URI=sqlite:////var/lib/authz/authz.db
USER 10001
VOLUME /var/lib/authz
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["authz", "health", "--addr", "127.0.0.1:8081"]
# Inside a container only the container's own loopback would be reachable. As it is here the service has neither TLS
# nor authentication: `--insecure` says so aloud. Publish the ports to trusted networks alone, or configure both.
ENTRYPOINT ["authz"]
CMD ["serve", "--grpc-addr", "0.0.0.0:8081", "--http-addr", "0.0.0.0:8080", "--insecure"]
