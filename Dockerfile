# model-proxy as an image: docker build -t model-proxy .
# The gateway in it is trained by our benchmark's load (benches/gateway/train), which takes three builds instead of one and
# saves a tenth of the CPU. Without: docker build --build-arg TRAINED=no …

FROM rust:1-bookworm AS build
ARG TRAINED=yes
WORKDIR /build
# Dependencies first, under an empty program: this layer is built anew only when the manifests change. Training builds them
# in its own way.
COPY Cargo.toml Cargo.lock ./
COPY .cargo ./.cargo
RUN mkdir -p src tests/suite benches/micro \
 && echo '//! empty' | tee src/lib.rs tests/suite/main.rs benches/micro/main.rs > src/main.rs \
 && echo 'fn main() {}' >> src/main.rs \
 && { [ "$TRAINED" = yes ] || cargo build --release --locked --bin model-proxy; } \
 && rm -r src tests benches
COPY migrations ./migrations
COPY config ./config
COPY examples/demo-config ./examples/demo-config
COPY benches/gateway ./benches/gateway
COPY src ./src
# A dated copy can be older than the empty program's build, which cargo would then keep.
RUN mkdir -p tests/suite benches/micro \
 && touch tests/suite/main.rs benches/micro/main.rs src/lib.rs src/main.rs \
 && if [ "$TRAINED" = yes ]; then benches/gateway/train && mv target/trained/release/model-proxy .; \
    else cargo build --release --locked --bin model-proxy && mv target/release/model-proxy .; fi

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 model-proxy \
 && useradd --system --uid 10001 --gid model-proxy --no-create-home --home-dir /app model-proxy \
 && install -d -o model-proxy -g model-proxy /app/data
COPY --from=build /build/model-proxy /usr/local/bin/model-proxy
COPY config /app/config
WORKDIR /app
USER model-proxy
ENV HOST=0.0.0.0 \
    PORT=9876 \
    CONFIG_DIR=/app/config \
    DATABASE_URL=sqlite:////app/data/model-proxy.db
VOLUME /app/data
EXPOSE 9876
# Streams may finish for shutdown_timeout_seconds: give the container longer than that (docker stop -t 40).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["model-proxy", "health"]
ENTRYPOINT ["model-proxy"]
CMD ["serve"]
