"""Medians, ranges, the table, and what it says about the targets."""

import statistics

import common

# "At least as good" allows for this much of noise.
NOISE = 0.95
NAMES = {"ours": "**mq-pulsar**", "perf": "pulsar-perf 4.0.8 (Java)", "go": "pulsar-client-go 0.21.0", "pulsar-rs": "pulsar 6.9.1"}
RATE, CPU = "messages_per_second", "cpu_us_per_message"
MOST_MIB = 64


class About:
    """What a run was."""

    def __init__(self, begun, ended, version, rounds, backlog, jvm, options):
        self.begun, self.ended, self.version, self.rounds = begun, ended, version, rounds
        self.backlog, self.jvm, self.options = backlog, jvm, options


def label(cell):
    mode, size, window = cell
    what = f"{size} B" if size < 1024 else f"{size // 1024} KiB"
    return {
        "publish": f"publish {what} in batches, {window:,} in flight",
        "single": f"publish {what} without batches, {window:,} in flight",
        "consume": f"consume {what}, queue {window:,}",
        "paced": f"publish {what} in batches, {window:,} a second",
        "slow": f"slow handler {what}, queue {window:,}",
    }[mode]


def brief(cell, client, result):
    if result.get("failed"):
        return f"{label(cell):48} {client:9} failed: {result['failed']}"
    latency = result["latency_us"]
    return (f"{label(cell):48} {client:9} {result[RATE]:9.0f}/s  {result[CPU]:6.2f} us  server {result['server_us_per_message']:6.1f} us  "
            f"{result['peak_rss_bytes'] / 2**20:6.1f} MiB  errors {result['errors']}"
            + (f"  p99 {latency['p99'] / 1000:.2f} ms" if latency else ""))


def render(results, about):
    return "\n\n".join([heading(about), table(results), targets(results, about.backlog)])


def heading(it):
    acks = "when all of it is acknowledged" if it.options.whole_acks else "which of its messages are"
    return (
        f"{common.machine(it.begun, it.options.quick)}; {(it.ended - it.begun) / 60:.0f} minutes. Pulsar {it.version} (profile `pulsar`: one broker with its "
        f"bookie in a JVM of 512 MiB without its optimising compiler, no fsync) and the client on the same cores; topics without partitions, of publishers "
        f"anew for each run; {it.rounds} rounds, the clients taking turns. Batches of at most 1000 messages, 128 KiB, 1 ms, uncompressed. Consumers are "
        f"exclusive, acknowledge each message by itself and have a subscription of their own to the same backlog, which is batches; the broker is told of a batch "
        f"{acks} (by `pulsar`: the whole batch at its first message). pulsar-perf: `{' '.join(it.jvm)}`, counted by the broker after its first seconds."
    )


def good(rows):
    return [it for it in rows if not it.get("failed")]


def median(rows, name):
    values = [it[name] for it in good(rows)]
    return statistics.median(values) if values else None


def latency(rows, part):
    values = [it["latency_us"][part] / 1000 for it in good(rows) if it["latency_us"]]
    return statistics.median(values) if values else None


def table(results):
    lines = [
        "Medians, with the range of the rounds in brackets. CPU is user and system time of the process, a message.", "",
        "| cell | client | messages/s | client CPU µs | server CPU µs | peak RSS MiB | receipt p50 ms | p99 ms | failed, errors or redelivered |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell, by in results.items():
        for client, rows in by.items():
            fine = good(rows)
            memory = max((it["peak_rss_bytes"] for it in fine), default=0) / 2**20
            p50, p99 = (f"{value:.2f}" if (value := latency(rows, part)) is not None else "–" for part in ("p50", "p99"))
            wrong = f"{len(rows) - len(fine)}, {sum(it['errors'] for it in fine)}"
            lines.append(f"| {label(cell)} | {NAMES[client]} | {common.spread(fine, RATE, 0)} | {common.spread(fine, CPU, 2)} "
                         f"| {common.spread(fine, 'server_us_per_message', 1)} | {memory:.1f} | {p50} | {p99} | {wrong} |")
    return "\n".join(lines)


def targets(results, backlog):
    lines = ["| target | ours | against | × | met |", "|---|---|---|---|---|"]
    for cell, by in results.items():
        if cell[0] == "slow":
            most = max((it["peak_rss_bytes"] for it in good(by["ours"])), default=None)
            lines.append(f"| {label(cell)}, backlog of {backlog:,}: peak RSS ≤ {MOST_MIB} MiB " + (
                "| – | – | – | **no** (the run failed) |" if most is None
                else f"| {most / 2**20:.1f} | {MOST_MIB} | {most / 2**20 / MOST_MIB:.2f} | {'yes' if most <= MOST_MIB * 2**20 else '**no**'} |"))
        elif "ours" in by:
            lines += judged(cell, by)
    return "\n".join(lines)


def judged(cell, by):
    def row(what, mine, other, digits, met):
        if mine is None or other is None:
            return f"| {label(cell)}: {what} | – | – | – | **no** (a run failed) |"
        ratio = mine / other
        return f"| {label(cell)}: {what} | {mine:,.{digits}f} | {other:,.{digits}f} | {ratio:.2f} | {'yes' if met(ratio) else '**no**'} |"

    ours, peers = by["ours"], {name: rows for name, rows in by.items() if name != "ours"}
    if cell[0] == "paced":
        if "perf" in peers:
            yield row("p99 ms ≤ Java's", latency(ours, "p99"), latency(peers["perf"], "p99"), 2, lambda it: it <= 1 / NOISE)
    elif peers:
        best = max((rate for rows in peers.values() if (rate := median(rows, RATE)) is not None), default=None)
        yield row("messages/s ≥ the best peer's", median(ours, RATE), best, 0, lambda it: it >= NOISE)
    for name, part, what in (("perf", 1 / 4, "a quarter of Java's"), ("pulsar-rs", 1 / 2, "half of `pulsar`'s")):
        if name in peers:
            yield row(f"client CPU µs ≤ {what}", median(ours, CPU), median(peers[name], CPU), 2, lambda it, part=part: it <= part / NOISE)
