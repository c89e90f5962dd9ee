#!/usr/bin/env python3
"""Measures AMQP clients side by side on RabbitMQ, and writes the table into docs/benchmarks.md.

    python3 bench/amqp/run.py            every cell, 2 rounds
    python3 bench/amqp/run.py --quick    every cell once and with few messages, to the terminal only

The Rust clients are programs of one contract:

    PROGRAM MODE URL QUEUE N SIZE WINDOW        variable: BENCH_WARM

MODE is publish (persistent, mandatory, confirmed, so many without a confirm at most) or consume (each message acknowledged by itself; WINDOW is the prefetch).
It does so with BENCH_WARM messages that don't count, says `begin` on stderr, does the same with N messages, and prints one line of JSON. PerfTest runs by
time: what it says of each second counts once it is in its stride. Needs JDK 17, Maven, Python 3, and Rust; the launcher fetches RabbitMQ.
"""

import argparse
import base64
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

# Nothing is written beside the sources.
sys.dont_write_bytecode = True
sys.path.append(str(Path(__file__).resolve().parent.parent))
import common  # noqa: E402
import report  # noqa: E402

HERE = Path(__file__).resolve().parent
OUT = common.ROOT / ".brokers" / "bench" / "amqp"
OURS = "ours"
JVM = ["-XX:+UseG1GC", "-Xmx512m"]
PERF = ["java", *JVM, "-cp", f"{OUT}/java/*", "com.rabbitmq.perf.PerfTest"]
PROGRAMS = {name: OUT / name / "release" / f"bench-amqp-{name}" for name in (OURS, "lapin", "amqprs")}
CLIENTS = [OURS, "perftest", "lapin", "amqprs"]
CELLS = [("publish", "classic", size, window) for size in (12, 1024, 16384) for window in (1, 100, 1000)]
CELLS += [("publish", "quorum", size, window) for size, window in ((1024, 1), (1024, 100), (12, 1000), (1024, 1000), (16384, 1000))]
CELLS += [("consume", "classic", size, 1000) for size in (12, 1024, 16384)] + [("consume", "quorum", 1024, 1000)]
LIMIT_S = 240


class Sizes:
    """How many messages, by cell."""

    def __init__(self, quick):
        self.rounds = 1 if quick else 2
        self.part = 8 if quick else 1
        # PerfTest's seconds: before it counts, and that count.
        self.seconds = {"publish": (3, 3) if quick else (6, 5), "consume": (2, 3) if quick else (4, 5)}

    def enough(self, *cell):
        """Messages that PerfTest does not come to the end of."""
        per_second = {12: 60_000, 1024: 45_000, 16384: 24_000}[cell[2]]
        return per_second * sum(self.seconds["consume"])

    def count(self, mode, kind, size, window):
        if mode == "consume":
            count = {12: 240_000, 1024: 200_000, 16384: 40_000}[size]
        elif window == 1:
            count = 8_000
        else:
            count = {12: 120_000, 1024: 100_000, 16384: 24_000}[size]
        return count // (2 if kind == "quorum" else 1) // self.part


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of few messages, to the terminal only")
    parser.add_argument("--only", help="only the cells whose label has this word, to the terminal only")
    parser.add_argument("--rounds", type=int, help="how often each client takes its turn")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return measure(options)
    build()
    # The launcher tells the addresses by variables and takes the broker down at the end.
    launcher = ["cargo", "run", "-q", "-p", "integration-tests", "--bin", "brokers", "--"]
    inside = [sys.executable, __file__, "--inside", *sys.argv[1:]]
    return subprocess.call([*launcher, "run", "--profile", "rabbitmq", "--", *inside], cwd=common.ROOT)


def build():
    rust = ["cargo", "build", "--release", "-q"]
    steps = [(HERE / "java", ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={OUT}/java"], {})]
    # The lock file of ours follows the workspace's dependencies.
    steps += [(HERE / name, rust if name == OURS else [*rust, "--locked"], {"CARGO_TARGET_DIR": OUT / name}) for name in PROGRAMS]
    common.build(steps, "JDK 17, Maven, Python 3 and Rust")


def measure(options):
    node, sizes = Node(), Sizes(options.quick)
    rounds = options.rounds or sizes.rounds
    begun, results = time.time(), {}
    for cell in CELLS:
        if options.only and options.only not in report.label(cell):
            continue
        for _ in range(rounds):
            for client in CLIENTS:
                result = one(node, sizes, client, cell)
                print(report.brief(cell, client, result), file=sys.stderr)
                results.setdefault(cell, {}).setdefault(client, []).append(result)
    text = report.render(results, begun, node.version, rounds, " ".join(JVM), options.quick)
    if options.quick or options.only:
        print(text)
    else:
        common.write("amqp", text)
    return 1 if any(it.get("failed") for by in results.values() for rows in by.values() for it in rows) else 0


def one(node, sizes, client, cell):
    mode, kind, size, window = cell
    count = sizes.count(*cell)
    # Connection and channel are there, and lanes have grown.
    warm = max(count // 20, 100)
    with node.queue(kind):
        if mode == "consume":
            # PerfTest has to find enough for all its seconds.
            many = sizes.enough(*cell) if client == "perftest" else count + warm
            fill = rust(node, OURS, "publish", many, size, 1000, 0)
            if fill.get("failed"):
                return fill
        if client == "perftest":
            return perftest(node, sizes, mode, size, window)
        return rust(node, client, mode, count, size, window, warm)


class Node:
    """The node of the launcher, by its management."""

    def __init__(self):
        self.url = os.environ["MQ_AMQP_URL"]
        self.version = os.environ["MQ_AMQP_VERSION"]
        parts = urllib.parse.urlsplit(self.url)
        self.vhost = parts.path[1:]
        login = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password)}"
        self.login = "Basic " + base64.b64encode(login.encode()).decode()
        management = urllib.parse.urlsplit(os.environ["MQ_AMQP_MANAGEMENT_URL"])
        self.management = f"{management.scheme}://{management.hostname}:{management.port}"
        self.pid = self.find_pid()
        # The profile's is small, so that tests come to it; here publishers would be judged by how long they are blocked.
        subprocess.run([os.environ["MQ_AMQP_CTL"], "-q", "set_vm_memory_high_watermark", "absolute", "8GB"], check=True, stdout=subprocess.DEVNULL)

    def ask(self, method, path, told=None):
        body = None if told is None else json.dumps(told).encode()
        headers = {"Authorization": self.login, "Content-Type": "application/json"}
        request = urllib.request.Request(self.management + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def find_pid(self):
        name = self.ask("GET", "/api/overview")["node"]
        deadline = time.monotonic() + 60
        # A node that is young has no figures of itself yet.
        while time.monotonic() < deadline:
            pid = self.ask("GET", f"/api/nodes/{name}").get("os_pid")
            if pid:
                return int(pid)
            time.sleep(0.5)
        sys.exit(f"{name} does not tell its process")

    def queue(self, kind):
        return Queue(self, kind)

    def cpu(self):
        return common.cpu_of(self.pid)


class Queue:
    """A durable queue of a kind, empty, for as long as a run takes."""

    def __init__(self, node, kind):
        self.node, self.kind, self.path = node, kind, f"/api/queues/{node.vhost}/bench"

    def __enter__(self):
        arguments = {"x-queue-type": self.kind}
        self.node.ask("PUT", self.path, {"durable": True, "auto_delete": False, "arguments": arguments})

    def __exit__(self, *_):
        self.node.ask("DELETE", self.path)


def rust(node, client, mode, count, size, window, warm):
    """Runs a program, watching the node from `begin` to the line of figures."""
    words = [PROGRAMS[client], mode, node.url, "bench", count, size, window]
    result, marks = common.watched(words, {"BENCH_WARM": str(warm)}, node.cpu, LIMIT_S)
    if marks:
        result["server_us_per_message"] = (marks[1] - marks[0]) * 1e6 / result["count"]
    return result


def perftest(node, sizes, mode, size, window):
    """What PerfTest says of its seconds, and what the system says of its CPU meanwhile."""
    words = ["--uri", node.url, "-u", "bench", "-p", "-i", "1"]
    if mode == "publish":
        words += ["-x", "1", "-y", "0", "-s", str(size), "-c", str(window), "-f", "persistent", "-f", "mandatory"]
    else:
        words += ["-x", "0", "-y", "1", "-q", str(window)]
    process = subprocess.Popen([*PERF, *words], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    marks, (warm_s, counted_s) = [], sizes.seconds[mode]
    # It says nothing more once its queue is empty.
    killer = threading.Timer(warm_s + counted_s + 30, process.kill)
    killer.start()
    peak = 0
    for line in process.stdout:
        found = re.search(r"time ([\d.]+) s.*?(?:sent|received): (\d+)", line)
        if found:
            # Min, median, 75th, 95th, 99th, in microseconds.
            latency = re.search(r"latency: \d+/(\d+)/\d+/\d+/(\d+)", line) if mode == "publish" else None
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = int(re.search(r"VmHWM:\s*(\d+)", status)[1]) * 1024
            marks.append((float(found[1]), common.cpu_of(process.pid), int(found[2]), node.cpu(), latency))
            if marks[-1][0] >= warm_s + counted_s or (mode == "consume" and marks[-1][2] == 0 and len(marks) > 2):
                break
    process.terminate()
    process.wait()
    killer.cancel()
    counted = [it for it in marks if it[0] >= min(warm_s, marks[-1][0] / 2) and (it[2] > 0 or mode == "publish")] if marks else []
    if len(counted) < 3:
        return {"failed": f"only {len(counted)} seconds count"}
    first, last = counted[0], counted[-1]
    seconds = last[0] - first[0]
    count = sum(it[2] * (it[0] - before[0]) for before, it in zip(counted, counted[1:]))
    parts = [it[4] for it in counted[1:] if it[4]]
    latency = {"p50": statistics.median(int(it[1]) for it in parts), "p99": statistics.median(int(it[2]) for it in parts)} if parts else None
    return {
        "mode": mode, "count": int(count), "seconds": seconds, "messages_per_second": count / seconds, "errors": 0,
        "cpu_us_per_message": (last[1] - first[1]) * 1e6 / count, "server_us_per_message": (last[3] - first[3]) * 1e6 / count,
        "peak_rss_bytes": peak, "latency_us": latency,
    }


if __name__ == "__main__":
    sys.exit(main())
