# Each recipe is one plain command: without `just`, run it as it stands.

# What is here.
default:
    just --list

# Format every source.
fmt:
    cargo fmt --all

# Type-check everything.
check:
    cargo check --workspace --all-targets --all-features

# Lint as CI does.
clippy:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Build the documentation as CI does.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# All tests that need only Rust and a C compiler.
test:
    cargo test --workspace

# The rules of the workspace: dependencies, bans, licences, rooms.
arch:
    cargo test -p integration-tests --test architecture

# The suites and interop tests on a real RocketMQ 5.5.0.
e2e:
    cargo run -p integration-tests --bin brokers -- run -- cargo test --workspace -- --ignored real_

# The same on 4.9.7.
e2e4:
    cargo run -p integration-tests --bin brokers -- run --profile rocketmq4 -- cargo test --workspace -- --ignored real_rocketmq_

# Run the examples on a real RocketMQ, and make examples/README.md say what they print where that is something else.
examples:
    MQ_UPDATE=1 cargo run -p integration-tests --bin brokers -- run -- cargo test -p integration-tests --test real_rocketmq_examples -- --ignored

# Every fault test at its full size, and 100 million mutated frames: hours.
soak:
    MQ_SOAK=1 MQ_FUZZ_FRAMES=100000000 cargo run --release -p integration-tests --bin brokers -- run -- cargo test --release --workspace -- --include-ignored real_ frames_mutated garbage_is_answered cmq_sixteen cmq_tcp_ many_connections --test-threads=1

# Record the fixtures of the wire codec again: the Java client with brokers that answer in JSON, then in binary.
capture-rocketmq:
    cargo run -p integration-tests --bin capture

# Records what the Java client's allocation strategies answer (needs a JDK and Maven).
capture-rocketmq-allocations:
    cargo run -p integration-tests --bin capture -- allocations

# Records CMQ's SDKs against the dev server: the golden fixtures of mq-cmq (needs Python 3 with venv, a JDK, Maven, Node.js and npm).
capture-cmq:
    cargo run -p integration-tests --bin capture -- cmq

# Records pika and RabbitMQ's client for Java with a RabbitMQ: the golden fixtures of mq-amqp (needs Python 3 with venv, a JDK and Maven).
capture-amqp:
    cargo run -p integration-tests --bin brokers -- run --profile rabbitmq -- cargo run -p integration-tests --bin capture -- amqp

# Records Pulsar's client for Java with a broker of its own: the golden fixtures of mq-pulsar (needs a JDK and Maven).
capture-pulsar:
    cargo run -p integration-tests --bin capture -- pulsar

# Measures mq-rocketmq beside the Java, Go and Rust clients, and writes the table into docs/benchmarks.md (half an hour, alone on the machine).
bench-rocketmq:
    python3 bench/rocketmq/run.py

# The same for ordered, transactional and scheduled messages.
bench-rocketmq-flows:
    python3 bench/rocketmq/run.py --flows

# Measures mq-cmq beside its SDKs for Java and Python, and the dev server, and writes the tables into docs/benchmarks.md (quarter of an hour, alone on the machine).
bench-cmq:
    python3 bench/cmq/run.py

# Measures mq-amqp beside PerfTest, lapin and amqprs on RabbitMQ, and writes the table into docs/benchmarks.md (an hour, alone on the machine).
bench-amqp:
    python3 bench/amqp/run.py

# Measures mq-pulsar beside pulsar-perf, pulsar-client-go and the crate pulsar, and writes the tables into docs/benchmarks.md (quarter of an hour, alone on the machine).
bench-pulsar:
    python3 bench/pulsar/run.py

# Known vulnerabilities in dependencies (needs the network, and cargo-deny).
audit:
    cargo deny check

# Random bytes for every decoder, ten minutes each (guided by coverage, one by name: cargo bolero test -p mq-rocketmq fuzz_frames).
fuzz:
    BOLERO_RANDOM_ITERATIONS=1000000000000 BOLERO_RANDOM_TEST_TIME_MS=600000 cargo test --release -p mq-rocketmq --lib -- fuzz_

# Everything that CI runs.
ci:
    bash .ci/run
