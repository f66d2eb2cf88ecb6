# A bundle, served, without torch:
#
#   docker build -t striate .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/bundle:/bundle:ro" -e STRIATE_TOKEN=... striate
#
# In the container it listens at every address, so a request needs the token: that of STRIATE_TOKEN, or one that is
# drawn and printed.  A new bundle that is moved to the mounted place is taken without a restart.
FROM python:3.12-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/striate && /opt/striate/bin/pip install --no-cache-dir -c constraints.txt ".[serve]"

FROM python:3.12-slim
COPY --from=build /opt/striate /opt/striate
RUN useradd --create-home --uid 1000 striate
USER striate
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["/opt/striate/bin/python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
ENTRYPOINT ["/opt/striate/bin/striate", "serve", "/bundle", "--host", "0.0.0.0", "--port", "8000"]
