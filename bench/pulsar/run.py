#!/usr/bin/env python3
"""Measures Pulsar clients side by side on one broker, and writes the tables into docs/benchmarks.md.

    python3 bench/pulsar/run.py                     every cell, 3 rounds
    python3 bench/pulsar/run.py --quick             every cell once and with few messages, to the terminal only
    python3 bench/pulsar/run.py --only publish --clients ours,perf

Three of the clients are programs of one contract:

    PROGRAM MODE URL TOPIC N SIZE WINDOW        variables: BENCH_WARM, BENCH_GROUP (subscription), BENCH_SETS (acknowledge inside of batches)

MODE is publish (in batches, at most WINDOW messages without a receipt), single (the same without batches), paced (in batches, WINDOW messages a second),
consume (each message acknowledged by itself; WINDOW is the receiver queue), and of ours slow (the same, 1 ms for each message).
It does so with BENCH_WARM messages that don't count, says `begin` on stderr, does the same with N messages, and prints one line of JSON. pulsar-perf runs
by time: what the broker has counted counts, once it is in its stride. Needs JDK 17, Maven, Go 1.25, Python 3, and Rust; the launcher fetches Pulsar, and
with it pulsar-perf, and Maven fetches protoc, which the crate `pulsar` builds with. Takes up to 20 GB of disk meanwhile: the broker frees it late.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

# Nothing is written beside the sources.
sys.dont_write_bytecode = True
sys.path.append(str(Path(__file__).resolve().parent.parent))
import common  # noqa: E402
import report  # noqa: E402

HERE = Path(__file__).resolve().parent
BROKERS = Path(os.environ.get("MQ_BROKERS_DIR", common.ROOT / ".brokers"))
OUT = BROKERS / "bench" / "pulsar"
OURS = "ours"
PROGRAMS = {
    OURS: OUT / OURS / "release" / "bench-pulsar-ours",
    "go": OUT / "go" / "bench-pulsar-go",
    "pulsar-rs": OUT / "pulsar-rs" / "release" / "bench-pulsar-pulsar-rs",
}
CLIENTS = [OURS, "perf", "go", "pulsar-rs"]
# Mode, size, and how many may be in flight, or wait to be received; of paced, how many a second.
CELLS = [("publish", size, 10_000) for size in (128, 1024)] + [("single", size, 1_000) for size in (128, 1024)]
CELLS += [("consume", size, 1_000) for size in (128, 1024)] + [("paced", 128, 5_000), ("slow", 128, 1_000)]
LIMIT_S = 90
# What bin/pulsar-perf says to a JVM, with memory of a small machine.
JVM = ["-XX:+UseG1GC", "-Xmx512m", "-XX:MaxDirectMemorySize=512m"]
OPENS = [f"--add-opens=java.base/{it}=ALL-UNNAMED" for it in ("sun.net", "java.lang", "java.util.zip", "java.nio", "jdk.internal.misc")]
FLAGS = ["-Djava.net.preferIPv4Stack=true", "-Dio.netty.tryReflectionSetAccessible=true", "-Dpulsar.log.appender=Console", "-Dpulsar.log.level=info",
         # It says its latencies while it is ending.
         "-Dpulsar.log.root.level=info", "-Dpulsar.log.immediateFlush=true", "-Dlog4j.shutdownHookEnabled=false"]
# Where the broker keeps its backlog for the consumers: each has a subscription of its own, and this one is never read.
KEEP = "keep"
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
PROTOC = "3.25.5"


class Sizes:
    """How many messages, by cell."""

    def __init__(self, options):
        self.rounds = 1 if options.quick else 3
        self.part = 100 if options.smoke else 5 if options.quick else 1
        # pulsar-perf's seconds: before it counts, and that count.
        self.seconds = (1, 1.5) if options.smoke else (2, 2) if options.quick else (4, 4)
        self.latency_s = 1 if options.smoke else 3 if options.quick else 8

    def count(self, mode, size, window):
        counted = {
            "publish": {128: 500_000, 1024: 200_000}, "single": {128: 60_000, 1024: 60_000}, "consume": {128: 600_000, 1024: 250_000},
        }
        if mode == "slow":
            return 10_000 // self.part
        return window * self.latency_s if mode == "paced" else counted[mode][size] // self.part

    def warm(self, *cell):
        """Connections are there, queues have grown, and of paced the broker has seen some seconds of it."""
        return {"paced": cell[2] * self.seconds[0] // 2, "slow": 100}.get(cell[0], self.count(*cell) // 8)

    def backlog(self, size):
        """What is there to be consumed. pulsar-perf must not come to its end, and a handler is slow before 1 M messages."""
        return {128: 2_000_000, 1024: 500_000}[size] // {1: 1, 5: 2, 100: 4}[self.part]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of few messages, to the terminal only")
    parser.add_argument("--smoke", action="store_true", help="like --quick with next to none: whether everything runs, its figures mean nothing")
    parser.add_argument("--only", help="only the cells whose label has this word, to the terminal only")
    parser.add_argument("--clients", default=",".join(CLIENTS), help="only these, by commas; fewer than all to the terminal only")
    parser.add_argument("--rounds", type=int, help="how often each client takes its turn")
    parser.add_argument("--whole-acks", action="store_true", help="the broker hears of a batch when all of it is acknowledged, as is Java's default")
    parser.add_argument("--no-write", action="store_true", help="to the terminal only, and .brokers/bench/pulsar/report.md")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.quick |= options.smoke
    options.clients = options.clients.split(",")
    if unknown := set(options.clients) - set(CLIENTS):
        parser.error(f"there is no client {', '.join(unknown)}: there are {', '.join(CLIENTS)}")
    if options.inside:
        return measure(options)
    build(options.clients)
    # The launcher tells the addresses by variables and takes the broker down at the end.
    launcher = ["cargo", "run", "-q", "-p", "integration-tests", "--bin", "brokers", "--"]
    inside = [sys.executable, __file__, "--inside", *sys.argv[1:]]
    return subprocess.call([*launcher, "run", "--profile", "pulsar", "--", *inside], cwd=common.ROOT)


def build(clients):
    rust = ["cargo", "build", "--release", "-q"]
    # Ours fills the backlog, whoever is measured. Its lock file follows the workspace's dependencies.
    steps = [(HERE / OURS, rust, {"CARGO_TARGET_DIR": OUT / OURS})]
    if "go" in clients:
        steps.append((HERE / "go", ["go", "build", "-o", PROGRAMS["go"], "."], {"GOTOOLCHAIN": "local"}))
    if "pulsar-rs" in clients:
        steps.append((HERE / "pulsar-rs", [*rust, "--locked"], {"CARGO_TARGET_DIR": OUT / "pulsar-rs", "PROTOC": protoc()}))
    common.build(steps, "JDK 17, Maven, Go 1.25, Python 3 and Rust")


def protoc():
    """The compiler that the crate `pulsar` builds with, from Maven Central."""
    system = {"Linux": "linux", "Darwin": "osx"}[platform.system()]
    machine = {"x86_64": "x86_64", "aarch64": "aarch_64", "arm64": "aarch_64"}[platform.machine()]
    program = OUT / "protoc" / f"protoc-{PROTOC}-{system}-{machine}.exe"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        artifact = f"com.google.protobuf:protoc:{PROTOC}:exe:{system}-{machine}"
        copy = ["mvn", "-q", "-B", MAVEN_COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={program.parent}"]
        common.build([(program.parent, copy, {})], "Maven")
    program.chmod(0o755)
    return program


def measure(options):
    node, sizes = Node(), Sizes(options)
    rounds = options.rounds or sizes.rounds
    bench = Bench(node, sizes, not options.whole_acks)
    begun, results = time.time(), {}
    cells = [cell for cell in CELLS if not options.only or options.only in report.label(cell)]
    bench.prepare(cells)
    for cell in cells:
        clients = [OURS] if cell[0] == "slow" else options.clients
        for turn in range(1 if cell[0] == "slow" else rounds):
            for client in clients:
                result = bench.one(client, cell, turn)
                print(report.brief(cell, client, result), file=sys.stderr, flush=True)
                results.setdefault(cell, {}).setdefault(client, []).append(result)
    text = report.render(results, report.About(begun, time.time(), node.version, rounds, sizes.backlog(128), JVM, options))
    (OUT / "report.md").write_text(text + "\n")
    print(text)
    if not (options.quick or options.only or options.whole_acks or options.no_write or options.clients != CLIENTS):
        common.write("pulsar", text)
    return 1 if any(it.get("failed") for by in results.values() for rows in by.values() for it in rows) else 0


class Node:
    """The broker of the launcher, by its management."""

    def __init__(self):
        self.url, self.version = os.environ["MQ_PULSAR_URL"], os.environ["MQ_PULSAR_VERSION"]
        self.admin = os.environ["MQ_PULSAR_ADMIN_URL"]
        (self.pid,) = common.servers(self.url.removeprefix("pulsar://"), "broker")

    def ask(self, method, path, told=None):
        body = None if told is None else json.dumps(told).encode()
        url = f"{self.admin}/admin/v2/persistent/public/default/{path}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def counted(self, topic, group):
        """How many messages the broker has taken, or has sent to a subscription's consumers, so far."""
        stats = self.ask("GET", f"{topic}/stats")
        return stats["subscriptions"].get(group, {}).get("msgOutCounter", 0) if group else stats["msgInCounter"]

    def cpu(self):
        return common.cpu_of(self.pid)


class Bench:
    def __init__(self, node, sizes, sets):
        self.node, self.sizes = node, sizes
        self.variables = {"BENCH_SETS": "1"} if sets else {}

    def prepare(self, cells):
        """Fills the topics that are consumed from, the same for everybody; and the broker's JIT is warm afterwards."""
        for size in sorted({size for mode, size, _ in cells if mode in ("consume", "slow")}):
            topic = backlog(size)
            self.node.ask("PUT", topic)
            self.node.ask("PUT", f"{topic}/subscription/{KEEP}")
            print(f"a backlog of {self.sizes.backlog(size):,} messages of {size} B", file=sys.stderr, flush=True)
            filled = self.program(OURS, "publish", topic, self.sizes.backlog(size), size, 10_000, 0, "")
            if filled.get("failed"):
                sys.exit(f"no backlog: {filled['failed']}")
        self.node.ask("PUT", "bench-warm")
        for mode, size, window in cells:
            if mode in ("publish", "single"):
                self.program(OURS, mode, "bench-warm", self.sizes.count(mode, size, window) // 4, size, window, 0, "")
        self.node.ask("DELETE", "bench-warm?force=true")

    def one(self, client, cell, turn):
        mode, size, window = cell
        group = f"{client}-{mode}-{turn}" if mode in ("consume", "slow") else ""
        topic = backlog(size) if group else f"bench-{client}-{mode}-{size}-{turn}"
        if not group:
            self.node.ask("PUT", topic)
        try:
            if client == "perf":
                return Perf(self, cell, topic, group).run()
            return self.program(client, mode, topic, self.sizes.count(*cell), size, window, self.sizes.warm(*cell), group)
        finally:
            # One that was read in part would cost the broker on.
            self.node.ask("DELETE", f"{topic}/subscription/{group}?force=true" if group else f"{topic}?force=true")

    def program(self, client, mode, topic, count, size, window, warm, group):
        """Runs a program, watching the broker from `begin` to the line of figures."""
        words = [PROGRAMS[client], mode, self.node.url, topic, count, size, window]
        variables = {**self.variables, "BENCH_WARM": str(warm), "BENCH_GROUP": group}
        result, marks = common.watched(words, variables, self.node.cpu, LIMIT_S)
        if marks:
            result["server_us_per_message"] = (marks[1] - marks[0]) * 1e6 / result["count"]
        return result


class Perf:
    """pulsar-perf. It sums up every ten seconds only, so the broker's count is looked at, and the system is asked for its CPU."""

    def __init__(self, bench, cell, topic, group):
        self.bench, self.node, self.cell, self.topic, self.group = bench, bench.node, cell, topic, group

    def words(self):
        mode, size, window = self.cell
        home = Path(os.environ.get("MQ_BROKERS_CACHE", BROKERS / "cache")) / f"pulsar-{self.node.version}"
        java = ["java", *JVM, *OPENS, *FLAGS, f"-Dlog4j.configurationFile={home}/conf/log4j2.yaml", f"-Dpulsar.log.dir={OUT}"]
        java += ["-cp", f"{home}/lib/*", "org.apache.pulsar.testclient.PulsarPerfTestTool", f"{home}/conf/client.conf"]
        if mode == "consume":
            sets = ["--batch-index-ack"] if self.bench.variables else []
            return [*java, "consume", "-u", self.node.url, "-ss", self.group, "-sp", "Earliest", "-q", str(window), *sets, self.topic]
        rate, window = (window, 10_000) if mode == "paced" else (100_000_000, window)
        batches = ["-db"] if mode == "single" else ["-b", "1", "-bm", "1000", "-bb", str(128 * 1024)]
        # Latencies before that don't count.
        warm = ["--warmup-time", str(self.bench.sizes.seconds[0])]
        return [*java, "produce", "-u", self.node.url, "-r", str(rate), "-s", str(size), "-o", str(window), *batches, *warm, self.topic]

    def run(self):
        process = subprocess.Popen(self.words(), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = []
        reader = threading.Thread(target=lambda: said.extend(process.stdout))
        reader.start()
        try:
            marks = self.marks(process)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join()
        return self.figures(marks, said)

    def marks(self, process):
        """Looks at it four times a second, from its first message until it has done enough."""
        warm_s, counted_s = self.bench.sizes.seconds
        if self.cell[0] == "paced":
            counted_s = self.bench.sizes.latency_s
        marks, began, deadline = [], None, time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and process.poll() is None:
            count = self.node.counted(self.topic, self.group)
            now = time.monotonic()
            if count and process.poll() is None:
                began = began or now
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = int(re.search(r"VmHWM:\s*(\d+)", status)[1]) * 1024
                marks.append((now - began, count, common.cpu_of(process.pid), self.node.cpu(), peak))
                # Nothing more, or everything was consumed.
                if marks[-1][0] >= warm_s + counted_s or (len(marks) > 4 and marks[-1][1] == marks[-3][1]):
                    break
            time.sleep(0.25)
        return marks

    def figures(self, marks, said):
        warm_s = self.bench.sizes.seconds[0]
        moving = [it for at, it in enumerate(marks) if at == 0 or it[1] > marks[at - 1][1]]
        counted = [it for it in moving if it[0] >= min(warm_s, moving[-1][0] / 2)]
        if len(counted) < 3:
            return {"failed": f"only {len(counted)} looks count: {''.join(said[-3:]).strip()}"}
        first, last = counted[0], counted[-1]
        seconds, count = last[0] - first[0], last[1] - first[1]
        return {
            "mode": self.cell[0], "count": count, "seconds": seconds, "messages_per_second": count / seconds,
            "errors": sum("Write message error" in line for line in said), "cpu_us_per_message": (last[2] - first[2]) * 1e6 / count,
            "server_us_per_message": (last[3] - first[3]) * 1e6 / count, "peak_rss_bytes": last[4], "latency_us": self.latency(said),
        }

    def latency(self, said):
        found = re.search(r"Aggregated latency stats .*? med:\s*([\d.]+) .*? 99pct:\s*([\d.]+)", "".join(said))
        if self.group or not found:
            return None
        return {"p50": float(found[1]) * 1000, "p99": float(found[2]) * 1000}


def backlog(size):
    return f"bench-backlog-{size}"


if __name__ == "__main__":
    sys.exit(main())
