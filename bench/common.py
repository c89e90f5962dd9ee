"""What the benchmarks' drivers have in common: building programs, running one while a server is watched, figures, and the page they are written into."""

import json
import os
import re
import platform
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"


def build(steps, needs):
    """Runs each (directory, command, variables): builds what is missing or older than its sources; the tools know which."""
    for directory, command, variables in steps:
        print(f"building {directory.name}", file=sys.stderr)
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        try:
            subprocess.run([str(word) for word in command], cwd=directory, env=environment, check=True)
        except FileNotFoundError:
            sys.exit(f"`{command[0]}` is missing: the benchmark needs {needs}")
        except subprocess.CalledProcessError as error:
            sys.exit(f"{directory.name} does not build (exit code {error.returncode})")


def watched(words, variables, mark, limit_s, directory=None):
    """Runs a program; gives its line of figures and what `mark` said at its `begin` and at that line, or why it failed."""
    process = subprocess.Popen([str(word) for word in words], text=True, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env={**os.environ, **variables})
    marks, said = [], []

    def watch():
        for line in process.stderr:
            if line == "begin\n":
                marks.append(mark())
            else:
                said.append(line)

    watcher = threading.Thread(target=watch)
    watcher.start()
    killer = threading.Timer(limit_s, process.kill)
    killer.start()
    line = process.stdout.readline()
    marks.append(mark())
    code = process.wait()
    killer.cancel()
    watcher.join()
    if code != 0 or not line or len(marks) != 2:
        why = "".join(said[-5:]).strip() or "it said nothing"
        return {"failed": f"exit code {code}: {why}"}, None
    return json.loads(line), marks


def cpu_of(pid):
    """User and system time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def servers(endpoint, name):
    """The processes whose names begin so, of the launcher's run at an endpoint: it writes down what it started."""
    runs = Path(os.environ.get("MQ_BROKERS_DIR", ROOT / ".brokers")) / "run"
    for path in runs.glob("*/state.json"):
        state = json.loads(path.read_text())
        if state["endpoint"] == endpoint:
            return [it["process"]["pid"] for it in state["servers"] if it["name"].startswith(name)]
    raise RuntimeError(f"no run of the launcher at {endpoint}")


def spread(rows, name, digits):
    """Their median, with the range in brackets."""
    values = [it[name] for it in rows]
    if not values:
        return "failed"
    text = f"{statistics.median(values):,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def machine(begun, quick=False):
    """When, which commit, and on what."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(begun))
    return f"{when} UTC, commit {commit}{', few messages' if quick else ''}. {os.cpu_count()} cores ({cpu[1] if cpu else platform.machine()})"


def write(name, text):
    """Puts a text between the page's marks of that name."""
    begin, end = f"<!-- bench-{name}: begin -->", f"<!-- bench-{name}: end -->"
    page = PAGE.read_text()
    if begin not in page or end not in page:
        raise SystemExit(f"{PAGE.name} has no place for the table: {begin} … {end}")
    before, rest = page.split(begin, 1)
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}")
