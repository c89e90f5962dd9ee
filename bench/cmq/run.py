#!/usr/bin/env python3
"""Measures CMQ clients side by side on the dev server, and the dev server itself; writes both tables into docs/benchmarks.md.

    python3 bench/cmq/run.py            every cell, 3 rounds
    python3 bench/cmq/run.py --quick    every cell once and with few messages, to the terminal only

Each client is a program of the same contract:

    PROGRAM MODE HOST:PORT QUEUE N SIZE IN_FLIGHT        variable: BENCH_WARM

MODE is send, or drain: receive and delete, one by one; with `tcp-` before it over TCP. It does so with BENCH_WARM messages that don't count, says `begin` on stderr,
does the same with N messages, and prints one line of JSON. Server and client are two processes. Needs JDK 17, Maven, Python 3 with venv, and Rust.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

# Nothing is written beside the sources.
sys.dont_write_bytecode = True
sys.path.append(str(Path(__file__).resolve().parent.parent))
import common  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = common.ROOT
OUT = ROOT / ".brokers" / "bench" / "cmq"
SDK = ROOT / "integration-tests" / "foreign" / "cmq-python" / "requirements.txt"
OURS = "ours"
JVM = ["-XX:+UseG1GC", "-Xmx512m"]
PROGRAMS = {
    OURS: [OUT / "ours" / "release" / "bench-cmq-ours"],
    "java": ["java", *JVM, "-cp", f"{OUT}/java/bench-cmq-java.jar:{OUT}/java/lib/*", "mq.bench.Main"],
    "python": [OUT / "python" / "bin" / "python", HERE / "python" / "bench.py"],
}
NAMES = {
    "http": {OURS: "**mq-cmq**", "java": "cmq-http-client 1.0.7 (Java)", "python": "qcloud-cmq-sdk-py3 0.1"},
    "tcp": {OURS: "**mq-cmq**", "java": "cmq-tcp-client 1.1.8 (Java)"},
}
SERVER = [OUT / "server" / "release" / "mq", "dev", "cmq", "--gateway", "127.0.0.1:0", "--listen"]
CELLS = [("send", 1), ("send", 16), ("drain", 1), ("drain", 16)]
CELLS += [("tcp-" + mode, in_flight) for mode in ("send", "drain") for in_flight in (1, 16, 64)]
SIZE = 1024
LIMIT_S = 300
NOISE = 0.95


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of few messages, to the terminal only")
    options = parser.parse_args()
    build()
    begun = time.time()
    rounds = 1 if options.quick else 3
    clients = peers(rounds, options.quick)
    server = server_figures(options.quick)
    text = "\n\n".join([about(begun, rounds, options.quick), table(clients), targets(clients, server)])
    if options.quick:
        print(text)
    else:
        common.write("cmq", text)


def build():
    rust = ["cargo", "build", "--release", "-q"]
    java = ["mvn", "-q", "-B", f"-Dout={OUT}/java", "package", "dependency:copy-dependencies"]
    steps = [(ROOT, [*rust, "-p", "mq-cli"], {"CARGO_TARGET_DIR": OUT / "server"}), (HERE / "ours", rust, {"CARGO_TARGET_DIR": OUT / "ours"}), (HERE / "java", java, {})]
    if not (OUT / "python" / "bin" / "python").exists():
        steps.append((HERE, [sys.executable, "-m", "venv", OUT / "python"], {}))
        steps.append((HERE, [OUT / "python" / "bin" / "pip", "install", "-q", "--require-hashes", "-r", SDK], {}))
    common.build(steps, "JDK 17, Maven, Python 3 with venv, and Rust")


class Server:
    """The dev server, with a queue."""

    def __enter__(self):
        seed = OUT / "seed.toml"
        seed.write_text('[[queue]]\nname = "bench"\nvisibility_seconds = 3600\n')
        begun = time.monotonic()
        command = [str(word) for word in [*SERVER, "127.0.0.1:0", "--seed", seed]]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.host = self.process.stdout.readline().strip().rsplit("@", 1)[1]
        self.started_ms = (time.monotonic() - begun) * 1000
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def cpu(self):
        return common.cpu_of(self.process.pid)

    def rss(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status)[1]) * 1024


def run(server, client, mode, count, size, in_flight, warm=0):
    """Runs a program, watching the server from `begin` to the line of figures."""
    words = [*PROGRAMS[client], mode, server.host, "bench", count, size, in_flight]
    # The SDK for Python writes a log where it stands.
    result, marks = common.watched(words, {"BENCH_WARM": str(warm)}, server.cpu, LIMIT_S, OUT)
    if not marks:
        sys.exit(f"{client} {mode}: {result['failed']}")
    result["server_us_per_message"] = (marks[1] - marks[0]) * 1e6 / result["count"]
    print(f"{mode:9} {in_flight:3} {client:7} {result['messages_per_second']:9.0f}/s  {result['cpu_us_per_message']:8.1f} us  "
          f"server {result['server_us_per_message']:6.1f} us  errors {result['errors']}", file=sys.stderr)
    return result


def peers(rounds, quick):
    results = {}
    for mode, in_flight in CELLS:
        for _ in range(rounds):
            for client in names(mode):
                count = {OURS: 40_000, "java": 20_000, "python": 3_000}[client]
                # Java is not in its stride before.
                warm = {OURS: 1_000, "java": 15_000, "python": 200}[client]
                if (mode, client) == ("drain", "java"):
                    # It opens a client for each receive and leaves it open: below 20,000 files.
                    count, warm = 10_000, 5_000
                if in_flight == 1:
                    count, warm = count // 4, warm // (1 if client == "java" else 4)
                if quick:
                    count, warm = count // 10, warm // 10
                with Server() as server:
                    if mode.endswith("drain"):
                        run(server, OURS, "fill", (count + warm + 31) // 16 * 16, SIZE, 4)
                    result = run(server, client, mode, count, SIZE, in_flight, warm)
                results.setdefault((mode, in_flight), {}).setdefault(client, []).append(result)
    return results


def server_figures(quick):
    figures = {}
    with Server() as server:
        figures["start"] = server.started_ms
        figures["rate"] = max(run(server, OURS, "send", 100_000 // (10 if quick else 1), SIZE, 64, 5_000)["messages_per_second"] for _ in range(3))
    with Server() as server:
        polls = run(server, OURS, "idle", 1000, 15, 1000)
        figures["idle_ms"] = polls["server_us_per_message"] * polls["count"] / 1000
        figures["idle_s"] = polls["seconds"]
    with Server() as server:
        run(server, OURS, "fill", 1_000_000 // (10 if quick else 1), SIZE, 8)
        figures["rss"] = server.rss()
    return figures


def median(results, name):
    return statistics.median(it[name] for it in results)


def table(results):
    lines = [
        "Medians, with the range of the rounds in brackets. CPU is user and system time of the process, a message.", "",
        "| cell | client | messages/s | client CPU µs | server CPU µs | peak RSS MiB | p50 ms | p99 ms | errors |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (mode, in_flight), by in results.items():
        for client, rows in by.items():
            memory = max(it["peak_rss_bytes"] for it in rows) / 2**20
            p50, p99 = (statistics.median(it["latency_us"][part] for it in rows) / 1000 for part in ("p50", "p99"))
            lines.append(
                f"| {label(mode, in_flight)} | {names(mode)[client]} | {common.spread(rows, 'messages_per_second', 0)} | {common.spread(rows, 'cpu_us_per_message', 1)} "
                f"| {common.spread(rows, 'server_us_per_message', 1)} | {memory:.1f} | {p50:.2f} | {p99:.2f} | {sum(it['errors'] for it in rows)} |"
            )
    return "\n".join(lines)


def targets(results, server):
    lines = ["| target | measured | of | × | met |", "|---|---|---|---|---|"]

    def ratio(what, mine, other, met):
        lines.append(f"| {what} | {mine:,.1f} | {other:,.1f} | {mine / other:.2f} | {'yes' if met(mine / other) else '**no**'} |")

    def value(what, text, met):
        lines.append(f"| {what} | {text} | – | – | {'yes' if met else '**no**'} |")

    for (mode, in_flight), by in results.items():
        ours, cell = by[OURS], label(mode, in_flight)
        if "python" in by:
            ratio(f"{cell}: messages/s ≥ 5 × Python", *(median(it, "messages_per_second") for it in (ours, by["python"])), lambda it: it >= 5 * NOISE)
        ratio(f"{cell}: messages/s ≥ 1.5 × Java", *(median(it, "messages_per_second") for it in (ours, by["java"])), lambda it: it >= 1.5 * NOISE)
        ratio(f"{cell}: client CPU ≤ a third of Java's", *(median(it, "cpu_us_per_message") for it in (ours, by["java"])), lambda it: it <= 1 / 3 / NOISE)
    value("server: signed requests a second ≥ 20,000 (sends, 64 in flight)", f"{server['rate']:,.0f}", server["rate"] >= 20_000)
    value("server: 1 M queued messages of 1 KiB in ≤ 1.5 GiB", f"{server['rss'] / 2**30:.2f} GiB", server["rss"] <= 1.5 * 2**30)
    value(f"server: 1,000 idle long polls for {server['idle_s']:.0f} s at no CPU, their coming and going included", f"{server['idle_ms']:.0f} ms", server["idle_ms"] <= 150)
    value("server: starts in ≤ 100 ms (to the line with its URL)", f"{server['start']:.0f} ms", server["start"] <= 100)
    return "\n".join(lines)


def names(mode):
    return NAMES["tcp" if mode.startswith("tcp-") else "http"]


def label(mode, in_flight):
    transport, _, what = mode.rpartition("-")
    return f"{'receive and delete' if what == 'drain' else what}{' over TCP' if transport else ''} 1 KiB, {in_flight} in flight"


def about(begun, rounds, quick):
    return (
        f"{common.machine(begun, quick)}; the dev server (`mq dev cmq`, release build) and the client as two processes on the same cores, a "
        f"server anew for each run; {rounds} rounds, the clients taking turns. HMAC-SHA256, POST, no batches. Ours: tasks that await. Java: threads over one "
        f"account, or one producer or consumer, `{' '.join(JVM)}`, 15,000 messages before it counts. Python: threads, each with an account of its own, since one is not for several."
    )


if __name__ == "__main__":
    main()
