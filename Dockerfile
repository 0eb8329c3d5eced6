# The image is the server and the shared libraries it needs, on nothing: no shell, no package
# manager. Classic builder syntax only, so that every engine can build it.
#
#   docker build -t flamekeep .                     the image
#   docker build --target debug -t flamekeep:debug . the same on Debian, with a shell

ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY deploy/deps.sh deploy/deps.sh
RUN bash deploy/deps.sh build && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY . .
ARG REVISION=unknown
RUN make release DEPS=no REVISION="${REVISION}" && bash deploy/closure.sh build/release/flamekeep /out

FROM ${BASE} AS debug
COPY --from=build /out/root/ /
COPY --from=build --chown=10001:0 /out/volumes/ /
ENV FLAMEKEEP_DATA=/data
USER 10001:0
EXPOSE 4040
VOLUME /data
ENTRYPOINT ["/usr/bin/flamekeep"]
CMD ["serve"]

FROM scratch
LABEL org.opencontainers.image.title="flamekeep" \
      org.opencontainers.image.description="Self-hosted store for continuous profiles, Pyroscope-compatible" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/root/ /
# Owned by the server's user and writable for group 0, so that any uid in group 0 works too.
COPY --from=build --chown=10001:0 /out/volumes/ /
ENV FLAMEKEEP_DATA=/data
USER 10001:0
EXPOSE 4040
VOLUME /data
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/usr/bin/flamekeep", "healthcheck"]
ENTRYPOINT ["/usr/bin/flamekeep"]
CMD ["serve"]
