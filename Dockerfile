# taskd as one small image: the executable, the libraries it loads, nothing else. No shell.
FROM debian:bookworm-slim AS build
WORKDIR /taskd
COPY dev ./
RUN ./dev setup
COPY . .
# A shared compiler cache, if there is one: --build-arg CCACHE_REMOTE_STORAGE=http://…
ARG CCACHE_REMOTE_STORAGE=
RUN ./dev build && strip build/release/taskd
# What the loader needs, under the paths where it looks for it.
RUN mkdir -p /image/usr/bin /folders/data /folders/logs \
    && cp build/release/taskd /image/usr/bin/taskd \
    && ldd build/release/taskd | grep -o '/[^ ]*' | xargs -I{} cp --parents -L {} /image \
    && cp --parents -r /usr/share/zoneinfo /image

FROM scratch
COPY --from=build /image /
# New volumes take over the owner of the folder they are mounted on.
COPY --from=build --chown=10001:10001 /folders /
COPY config/workers.json /etc/taskd/workers.json
USER 10001:10001
VOLUME ["/data", "/logs"]
EXPOSE 4000/tcp 4000/udp 5001/tcp 6000/tcp 6000/udp 8080/tcp 8090-8094/tcp
STOPSIGNAL SIGTERM
# Of a dispatcher; compose.yaml names the port of each other role.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=6 \
    CMD ["/usr/bin/taskd", "health"]
ENTRYPOINT ["/usr/bin/taskd"]
CMD ["help"]
