# Caddy as it is, but owned by a user of its own: a plain copy of the binary has no file capabilities, and its data
# folders, with all that the image has in them, can be written.
ARG CADDY_IMAGE=caddy:2.10.2-alpine
FROM ${CADDY_IMAGE}
RUN cp /usr/bin/caddy /usr/local/bin/caddy && mkdir -p /data /config && chown -R 10020:10020 /data /config
USER 10020:10020
CMD ["/usr/local/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile"]
