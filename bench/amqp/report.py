"""Medians, ranges, the table, and what it says about the targets."""

import statistics

import common

# "At least as good" allows for this much of noise.
NOISE = 0.95
NAMES = {"ours": "**mq-amqp**", "perftest": "PerfTest 2.22.1 (Java)", "lapin": "lapin 4.12.3", "amqprs": "amqprs 2.1.5"}
RATE, CPU = "messages_per_second", "cpu_us_per_message"


def label(cell):
    mode, kind, size, window = cell
    what = f"{size} B" if size < 1024 else f"{size // 1024} KiB"
    return f"{mode} {kind} {what}, {'window' if mode == 'publish' else 'prefetch'} {window}"


def brief(cell, client, result):
    if result.get("failed"):
        return f"{label(cell):40} {client:9} failed: {result['failed']}"
    return (f"{label(cell):40} {client:9} {result[RATE]:9.0f}/s  {result[CPU]:6.2f} us  server {result['server_us_per_message']:6.1f} us  "
            f"{result['peak_rss_bytes'] / 2**20:6.1f} MiB  errors {result['errors']}")


def render(results, begun, version, rounds, jvm, quick):
    return "\n\n".join([about(begun, version, rounds, jvm, quick), table(results), targets(results)])


def about(begun, version, rounds, jvm, quick):
    return (
        f"{common.machine(begun, quick)}; RabbitMQ {version} (one scheduler) and the client on the same cores, a queue anew for each run; {rounds} rounds, the "
        f"clients taking turns. Publishes are persistent, mandatory and confirmed; consumers acknowledge each message by itself as their user sees it (ours writes acknowledgements "
        f"together where they are contiguous). PerfTest: `{jvm}`, counted in its stride."
    )


def good(rows):
    return [it for it in rows if not it.get("failed")]


def median(rows, name):
    values = [it[name] for it in good(rows)]
    return statistics.median(values) if values else None


def table(results):
    lines = [
        "Medians, with the range of the rounds in brackets. CPU is user and system time of the process, a message.", "",
        "| cell | client | messages/s | client CPU µs | server CPU µs | peak RSS MiB | confirm p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell, by in results.items():
        for client, rows in by.items():
            memory = max((it["peak_rss_bytes"] for it in good(rows)), default=0) / 2**20
            latencies = [it["latency_us"] for it in good(rows) if it["latency_us"]]
            p50, p99 = (f"{statistics.median(it[part] for it in latencies) / 1000:.2f}" if latencies else "–" for part in ("p50", "p99"))
            lines.append(f"| {label(cell)} | {NAMES[client]} | {common.spread(good(rows), RATE, 0)} | {common.spread(good(rows), CPU, 1)} "
                         f"| {common.spread(good(rows), 'server_us_per_message', 1)} | {memory:.1f} | {p50} | {p99} |")
    return "\n".join(lines)


def targets(results):
    lines = ["| target | ours | against | × | met |", "|---|---|---|---|---|"]

    def judge(what, mine, other, met):
        if mine is None or other is None:
            lines.append(f"| {what} | – | – | – | **no** (a run failed) |")
        else:
            lines.append(f"| {what} | {mine:,.1f} | {other:,.1f} | {mine / other:.2f} | {'yes' if met(mine / other) else '**no**'} |")

    for cell, by in results.items():
        ours, java, lapin = (by[name] for name in ("ours", "perftest", "lapin"))
        judge(f"{label(cell)}: messages/s ≥ PerfTest", median(ours, RATE), median(java, RATE), lambda it: it >= NOISE)
        judge(f"{label(cell)}: client CPU ≤ a third of PerfTest's", median(ours, CPU), median(java, CPU), lambda it: it <= 1 / 3 / NOISE)
        judge(f"{label(cell)}: client CPU ≤ 1.2 × lapin's best", median(ours, CPU), median(lapin, CPU), lambda it: it <= 1.2 / NOISE)
    kept = results.get(("publish", "classic", 1024, 1000))
    if kept and good(kept["ours"]):
        most = max(it["peak_rss_bytes"] for it in good(kept["ours"])) / 2**20
        lines.append(f"| peak RSS ≤ 50 MiB at a window of 1000 × 1 KiB | {most:.1f} MiB | – | – | {'yes' if most <= 50 else '**no**'} |")
    return "\n".join(lines)
