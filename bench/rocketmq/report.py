"""Medians, ranges, the table and what it says about the targets."""

import os
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path

# "At least as good" allows for this much of noise.
NOISE = 0.95
NAMES = {
    "ours": "**mq-rocketmq**",
    "java": "Java 5.5.0",
    "go": "rocketmq-client-go 2.1.2",
    "mxsm": "rocketmq-client-rust 1.0.0",
}


class Settings:
    def __init__(self, sizes, jvm, begun, ended, quick):
        self.sizes, self.jvm, self.begun, self.ended, self.quick = sizes, jvm, begun, ended, quick


class Cell:
    """All rounds of one client in one cell."""

    def __init__(self, results):
        self.all = results
        self.good = [it for it in results if not it.get("failed")]

    def values(self, *path):
        values = []
        for result in self.good:
            for name in path:
                result = result[name]
            values.append(result)
        return values

    def median(self, *path):
        values = self.values(*path)
        return statistics.median(values) if values else None

    def range(self, *path):
        values = self.values(*path)
        return (min(values), max(values)) if values else None

    def remarks(self):
        remarks = []
        failed = len(self.all) - len(self.good)
        if failed:
            remarks.append(f"{failed} of {len(self.all)} runs failed")
        for name, what in [
            ("errors", "redelivered" if self.all[0]["mode"] in ("drain", "ordered") else "errors"),
            ("sent_back", "sent back"),
            ("stored_too_many", "stored twice"),
        ]:
            total = sum(it.get(name) or 0 for it in self.good)
            if total:
                remarks.append(f"{total} {what}")
        return ", ".join(remarks) or "0"


def brief(result):
    cell = f"{result['mode']} {result['size']} B, {result['in_flight']} in flight, round {result['round']}"
    if result.get("failed"):
        return f"{cell}: {result['client']} failed"
    latency = result["latency_us"]
    return (
        f"{cell}: {result['client']:5} {result['messages_per_second']:9.0f}/s  {result['cpu_us_per_message']:6.1f} us"
        f"  broker {result['broker_us_per_message']:6.1f} us  {result['peak_rss_bytes'] / 2**20:6.1f} MiB"
        f"  others {result['other_cores']:.2f} cores  errors {result['errors']}  sent back {result['sent_back']}"
        + (f"  p50 {latency['p50']} p99 {latency['p99']} us" if latency else "")
    )


def render(results, settings, clients, ours):
    cells = by_cell(results)
    peers = [client for client in clients if client != ours]
    parts = [about(results, settings), table(cells, clients, ours, peers), targets(cells, ours, peers)]
    return "\n\n".join(parts)


def by_cell(results):
    cells = {}
    for result in results:
        key = (result["mode"], result["size"], result["in_flight"])
        cells.setdefault(key, {}).setdefault(result["client"], []).append(result)
    return {key: {client: Cell(rows) for client, rows in by.items()} for key, by in cells.items()}


def flows(results, settings, clients, ours):
    """Ordered, transactional and scheduled messages."""
    cells = by_cell(results)
    peers = [client for client in clients if client != ours]
    sizes = settings.sizes
    how = (
        f"{machine(settings)}\n\nBroker 5.5.0 (profile `rocketmq-bench`) and client on the same cores; topics of 8 queues; {sizes.rounds} rounds, the clients "
        f"taking turns. {sizes.drained:,} messages drained in order, acknowledged one by one, by each client's default; {sizes.transactions:,} transactions, "
        "each a half message and its commit: Java's commits are one-way and nobody waits for them, ours wait for the broker's word; "
        f"{sizes.many:,} sends, as many that are to be delivered an hour later, and as many by TLS with signed requests (the broker has TLS and checks no signature)."
    )
    lines = [
        "| target | ours | against | × | met |",
        "|---|---|---|---|---|",
    ]

    def judge(what, mine, other, met):
        if mine is None or other is None:
            lines.append(f"| {what} | – | – | – | **no** (a run failed) |")
        else:
            lines.append(f"| {what} | {mine:,.1f} | {other:,.1f} | {mine / other:.2f} | {'yes' if met(mine / other) else '**no**'} |")

    for key in cells:
        if key[0] in ("ordered", "transaction"):
            mine = cells[key][ours].median("messages_per_second")
            judge(f"{label(key)}: messages/s ≥ best peer", mine, best_rate(cells[key], peers), lambda it: it >= NOISE)
    plain, later, secured = (cells[(mode, 1024, 64)][ours] for mode in ("send", "scheduled", "secured"))
    rate, cpu = "messages_per_second", "cpu_us_per_message"
    for in_flight in (1, 64):
        rates = (cells[(mode, 1024, in_flight)][ours].median(rate) for mode in ("scheduled", "send"))
        judge(f"scheduled sends, {in_flight} in flight: messages/s ≥ 0.9 of plain ones", *rates, lambda it: it >= 0.9)
    judge("scheduled sends, 64 in flight: client CPU µs ≤ 1.1 of plain ones", later.median(cpu), plain.median(cpu), lambda it: it <= 1.1)
    judge("TLS and access control: client CPU µs ≤ 1.3 of plain sends", secured.median(cpu), plain.median(cpu), lambda it: it <= 1.3)
    return "\n\n".join([how, table(cells, clients, ours, peers), "\n".join(lines)])


def machine(settings):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1]) / 2**20
    clock = lambda at: time.strftime("%H:%M", time.gmtime(at))
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime(settings.begun))}, {clock(settings.begun)}–{clock(settings.ended)} UTC, "
        f"commit {first_line('git', 'rev-parse', '--short', 'HEAD')}{dirty()}. "
        f"{os.cpu_count()} cores ({cpu[1] if cpu else platform.machine()}), {memory:.0f} GiB; "
        f"{platform.system()} {platform.release().split('-')[0]}; {first_line('java', '-version')}; "
        f"{first_line('go', 'version').removeprefix('go version ')}; {first_line('rustc', '--version')}."
    )


def about(results, settings):
    sizes = settings.sizes
    others = [it["other_cores"] for it in results if "other_cores" in it]
    rounds = f"{sizes.rounds} round" + "s" * (sizes.rounds != 1)
    lines = [
        machine(settings),
        "",
        f"Broker 5.5.0 (profile `rocketmq-bench`: G1, 1 GiB, asynchronous flush) and client on the same cores; topics of 8 queues; {rounds}, "
        "the clients taking turns. Other processes took "
        f"{statistics.median(others):.2f} cores in the median run and {max(others):.2f} in the worst.",
        "",
        f"Messages counted: {sizes.one:,} for 1 in flight, {sizes.many:,} for more, {sizes.drained:,} drained. Before them, uncounted: Java "
        f"{sizes.java_warm:,} sends with at least 64 in flight, the others {sizes.warm:,} or a quarter of what is counted; "
        f"{sizes.drain_warm:,} when draining. Acks: the sends wait for "
        f"the broker's answer; the drained are acknowledged one by one, offsets persisted every 5 s. No batches, no compression. "
        f"Java: `{' '.join(settings.jvm)}`; `send(message, callback)` behind a semaphore, `send(message)` for 1 in flight. Go: goroutines with `SendSync`. "
        "rocketmq-client-rust: tasks that await `send`; 8 consumer threads, since at its default of 20 it refuses itself messages on 2 "
        "cores. Ours: tasks that await `send`; one loop of `recv` and `ack`. All else is each client's default.",
    ]
    return "\n".join(lines)


def table(cells, clients, ours, peers):
    lines = [
        "Medians, with the range of the rounds in brackets. CPU is user and system time of the process.",
        "",
        "| cell | client | messages/s | client CPU µs | broker CPU µs | peak RSS MiB | p50 ms | p99 ms | errors, redeliveries |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key, by in cells.items():
        best = best_rate(by, peers)
        for client in clients:
            cell = by.get(client)
            if cell is None:
                continue
            if not cell.good:
                lines.append(f"| {label(key)} | {NAMES[client]} | – | – | – | – | – | – | {cell.remarks()} |")
                continue
            rate = spread(cell, 0, "messages_per_second")
            if client == ours and best:
                ratio = cell.median("messages_per_second") / best
                rate += f" = {ratio:.2f}×" + (" **loses**" if ratio < NOISE else "")
            latency = ["–", "–"]
            if "latency_us" in cell.good[0] and cell.good[0]["latency_us"]:
                latency = [f"{cell.median('latency_us', part) / 1000:.2f}" for part in ("p50", "p99")]
            memory = max(cell.values("peak_rss_bytes")) / 2**20
            lines.append(
                f"| {label(key)} | {NAMES[client]} | {rate} | {spread(cell, 1, 'cpu_us_per_message')} "
                f"| {spread(cell, 1, 'broker_us_per_message')} | {memory:.1f} | {latency[0]} | {latency[1]} | {cell.remarks()} |"
            )
    return "\n".join(lines)


def targets(cells, ours, peers):
    lines = [
        "`×` is ours divided by the best peer's; for CPU the best is the lowest. A target counts as met within 5 %.",
        "",
        "| target | cell | ours | best peer | × | met |",
        "|---|---|---|---|---|---|",
    ]

    def judge(what, key, name, digits, limit, fixed=None, most=True):
        mine = cells[key][ours].median(name)
        others = [cells[key][peer].median(name) for peer in peers]
        others = [it for it in others if it is not None]
        if mine is None or not others:
            lines.append(f"| {what} | {label(key)} | – | – | – | **no** (a run failed) |")
            return
        best = min(others) if most else max(others)
        ratio = mine / best
        met = ratio <= limit if most else ratio >= limit
        if fixed is not None:
            met = met and mine <= fixed
        lines.append(
            f"| {what} | {label(key)} | {mine:,.{digits}f} | {best:,.{digits}f} | {ratio:.2f} | {'yes' if met else '**no**'} |"
        )

    for key in cells:
        judge("messages/s ≥ best peer", key, "messages_per_second", 0, NOISE, most=False)
    for key in cells:
        if key[0] == "drain":
            judge("client CPU ≤ 0.6 × best peer, ≤ 5 µs", key, "cpu_us_per_message", 1, 0.6, 5)
        elif key[2] >= 64:
            judge("client CPU ≤ 0.6 × best peer, ≤ 15 µs", key, "cpu_us_per_message", 1, 0.6, 15)
    for key in cells:
        judge("broker CPU ≤ best peer", key, "broker_us_per_message", 1, 1 / NOISE)
    for key, by in cells.items():
        if key[0] == "send" and key[2] == 256 and by[ours].good:
            memory = max(by[ours].values("peak_rss_bytes")) / 2**20
            lines.append(
                f"| peak RSS ≤ 16 MiB | {label(key)} | {memory:.1f} | – | – | {'yes' if memory <= 16 else '**no**'} |"
            )
    return "\n".join(lines)


def best_rate(by, peers):
    rates = [by[peer].median("messages_per_second") for peer in peers if peer in by]
    return max((it for it in rates if it is not None), default=None)


def spread(cell, digits, name):
    low, high = cell.range(name)
    text = f"{cell.median(name):,.{digits}f}"
    return text if len(cell.good) == 1 else f"{text} ({low:,.{digits}f}–{high:,.{digits}f})"


def label(key):
    mode, size, in_flight = key
    size = f"{size} B" if size < 1024 else f"{size // 1024} KiB"
    mode = {"ordered": "drain in order", "transaction": "half message and commit", "scheduled": "send for later", "secured": "send by TLS, signed"}.get(mode, mode)
    return f"{mode} {size}, {in_flight} in flight" if in_flight else f"{mode} {size}"


def dirty():
    changed = first_line("git", "status", "--porcelain", "--", "crates/mq-rocketmq", "crates/mq-core")
    return " with changes" if changed else ""


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent.parent)
    return (done.stdout + done.stderr).strip().split("\n")[0]
