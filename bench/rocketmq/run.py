#!/usr/bin/env python3
"""Measures four RocketMQ clients side by side, and writes the table into docs/benchmarks.md.

    python3 bench/rocketmq/run.py            every cell, 3 rounds
    python3 bench/rocketmq/run.py --flows    instead: ordered, transactional and scheduled messages, and their own table
    python3 bench/rocketmq/run.py --quick    every cell once and with few messages, to the terminal only

Each client is a program of the same contract:

    PROGRAM MODE NAMESRV TOPIC N SIZE IN_FLIGHT        variables: BENCH_WARM, BENCH_GROUP

MODE is send or drain, and for flows secured (a send by TLS with access control), scheduled, transaction or ordered.

It sends, or receives, BENCH_WARM messages that don't count, says `begin` on stderr, does the same with N messages, and prints one line
of JSON: messages per second, its CPU time per message, peak memory, latencies, errors. Needs JDK 17, Maven, Go 1.24 and Rust.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

# Nothing is written beside the sources.
sys.dont_write_bytecode = True
sys.path.append(str(Path(__file__).resolve().parent.parent))
import common  # noqa: E402
from broker import Broker, machine_cpu  # noqa: E402
import report  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = common.ROOT
OUT = ROOT / ".brokers" / "bench"
PROFILE = "rocketmq-bench"
OURS = "ours"
SIZES = [128, 1024]
IN_FLIGHT = [1, 64, 256]
# A run that has not ended by then has failed.
LIMIT_S = 180

JVM = ["-XX:+UseG1GC", "-Xmx512m"]
PROGRAMS = {
    OURS: [OUT / "ours" / "release" / "bench-rocketmq-ours"],
    "java": ["java", *JVM, "-cp", f"{OUT}/java/bench-java.jar:{OUT}/java/lib/*", "mq.bench.Main"],
    "go": [OUT / "go" / "bench-rocketmq-go"],
    "mxsm": [OUT / "mxsm" / "release" / "bench-rocketmq-mxsm"],
}


# What is compared of each flow, and with whom: Go's transactions and timers are not asked for.
FLOWS = {
    ("ordered", 1024, 0): [OURS, "java", "go"],
    ("transaction", 1024, 64): [OURS, "java"],
    ("send", 1024, 1): [OURS],
    ("scheduled", 1024, 1): [OURS],
    ("send", 1024, 64): [OURS, "java"],
    ("scheduled", 1024, 64): [OURS, "java"],
    ("secured", 1024, 64): [OURS],
}
DRAINS = ("drain", "ordered")
SENDS = ("send", "scheduled", "secured")


class Sizes:
    """How many messages: counted and warming up, by what is done."""

    def __init__(self, quick):
        self.rounds = 1 if quick else 3
        self.drained = 60_000 if quick else 240_000
        # Java is not in its stride before; the others have their connections and queues by then.
        self.drain_warm = 20_000 if quick else 60_000
        # Each is two requests and three writes of the broker.
        self.transactions = 5_000 if quick else 40_000
        self.one, self.many = (1_000, 20_000) if quick else (6_000, 100_000)
        self.java_warm, self.warm = (10_000, 1_000) if quick else (120_000, 2_000)

    def sends(self, mode, in_flight):
        if mode == "transaction":
            return self.transactions
        return self.one if in_flight == 1 else self.many

    def send_warm(self, client, mode, in_flight):
        if client == "java":
            # Warmed up with many in flight, whatever is measured then.
            return self.transactions if mode == "transaction" else self.java_warm
        return min(self.warm, self.sends(mode, in_flight) // 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of few messages, to the terminal only")
    parser.add_argument("--flows", action="store_true", help="ordered, transactional and scheduled messages")
    parser.add_argument("--rounds", type=int, help="how often each client takes its turn")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return measure_all(options)
    build()
    # The launcher tells the address by a variable and takes the broker down at the end.
    launcher = ["cargo", "run", "-q", "-p", "integration-tests", "--bin", "brokers", "--"]
    inside = [sys.executable, __file__, "--inside", *sys.argv[1:]]
    return subprocess.call([*launcher, "run", "--profile", PROFILE, "--", *inside], cwd=ROOT)


def build():
    rust = ["cargo", "build", "--release", "-q"]
    steps = [
        (HERE / "java", ["mvn", "-q", "-B", f"-Dout={OUT}/java", "package", "dependency:copy-dependencies"], {}),
        (HERE / "go", ["go", "build", "-o", OUT / "go" / "bench-rocketmq-go", "."], {"GOTOOLCHAIN": "local"}),
        (HERE / "mxsm", [*rust, "--locked"], {"CARGO_TARGET_DIR": OUT / "mxsm"}),
        # Its lock file follows the workspace's dependencies.
        (HERE / "ours", rust, {"CARGO_TARGET_DIR": OUT / "ours"}),
    ]
    common.build(steps, "JDK 17, Maven, Go 1.24 and Rust")


def measure_all(options):
    namesrv = os.environ["MQ_ROCKETMQ_URL"].split("://", 1)[1]
    broker = Broker(namesrv)
    sizes = Sizes(options.quick)
    # Flows are compared by tenths.
    sizes.rounds = options.rounds or (5 if options.flows and not options.quick else sizes.rounds)
    begun = time.time()
    results = []
    sends = [("send", size, in_flight) for size in SIZES for in_flight in IN_FLIGHT]
    cells = {cell: list(PROGRAMS) for cell in sends + [("drain", size, 0) for size in SIZES]}
    if options.flows:
        cells = FLOWS
    for mode, size, _ in cells:
        topic = f"bench_{mode}_{size}"
        if broker.route(topic) is None:
            broker.create_topic(topic)
            if mode in DRAINS:
                # Filled by the same program for everybody; and the broker's JIT is warm afterwards.
                run(broker, OURS, ["send", topic, sizes.drain_warm + sizes.drained, size, 256], 0)
    for together in in_turns(cells):
        if len({cell for cell, _ in together}) > 1:
            # Which of them comes first must not matter: the broker's JIT is to know each of them.
            for (mode, size, in_flight), client in together:
                if client == OURS:
                    run(broker, client, [mode, f"bench_{mode}_{size}", 2 * sizes.many, size, in_flight], 0)
        for turn, (cell, client) in itertools.product(range(sizes.rounds), together):
            result = one(broker, sizes, client, cell, turn)
            results.append(result)
            print(report.brief(result), file=sys.stderr)
            (OUT / "results.json").write_text(json.dumps(results, indent=1))
    settings = report.Settings(sizes, JVM, begun, time.time(), "--quick" in sys.argv)
    render = report.flows if options.flows else report.render
    text = render(results, settings, list(PROGRAMS), OURS)
    if options.quick:
        print(text)
    else:
        common.write("flows" if options.flows else "rocketmq", text)
    return 1 if any(it.get("failed") for it in results) else 0


def in_turns(cells):
    """Which cells and clients take turns: the clients of a cell, and for flows all sends, since their figures are compared with those of plain ones."""
    for _, group in itertools.groupby(cells, lambda cell: cell[2] if cells is FLOWS and cell[0] in SENDS else cell):
        group = list(group)
        yield [(cell, client) for client in PROGRAMS for cell in group if client in cells[cell]]


def one(broker, sizes, client, cell, turn):
    mode, size, in_flight = cell
    topic = f"bench_{mode}_{size}"
    if mode in DRAINS:
        count, warm = sizes.drained, sizes.drain_warm
    else:
        count, warm = sizes.sends(mode, in_flight), sizes.send_warm(client, mode, in_flight)
    before = (broker.stored(topic), broker.sent_back())
    result = run(broker, client, [mode, topic, count, size, in_flight], warm, f"bench_{client}_{mode}_{size}_{turn}")
    stored, sent_back = broker.stored(topic) - before[0], broker.sent_back() - before[1]
    # Java warms up in two parts.
    sent = count + warm + (min(warm, 2000) if client == "java" else 0)
    result.update(client=client, mode=mode, size=size, in_flight=in_flight, round=turn, sent_back=sent_back)
    if mode == "send" and not result.get("failed"):
        result["stored_too_many"] = stored - sent + result["errors"]
    return result


def run(broker, client, words, warm, group="bench"):
    """Runs a program, watching the broker from `begin` to the line of figures."""
    mode, *rest = words
    words = [mode, broker.namesrv, *(str(it) for it in rest)]
    def mark():
        return time.monotonic(), broker.cpu(), machine_cpu()

    result, marks = common.watched([*PROGRAMS[client], *words], {"BENCH_WARM": str(warm), "BENCH_GROUP": group}, mark, LIMIT_S)
    if not marks:
        print(f"{client} {' '.join(words)}: {result['failed']}", file=sys.stderr)
        return result
    (begun, broker_begun, all_begun), (ended, broker_ended, all_ended) = marks
    seconds, count = ended - begun, result["count"]
    broker_cpu = broker_ended - broker_begun
    others = all_ended - all_begun - broker_cpu - result["cpu_us_per_message"] * count / 1e6
    result["broker_us_per_message"] = broker_cpu * 1e6 / count
    result["other_cores"] = max(0.0, others / seconds)
    return result


if __name__ == "__main__":
    sys.exit(main())
