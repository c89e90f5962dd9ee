"""CMQ's official SDK for Python: as many threads as may be in flight, each with an account of its own, since one is not for several.

    bench.py send|drain HOST:PORT QUEUE N SIZE IN_FLIGHT        variable: BENCH_WARM
"""

import json
import os
import resource
import sys
import threading
import time
import types

try:
    import mailcap  # noqa: F401
except ImportError:
    # Python 3.13 has it no longer. The SDK imports a name of it that it does not use.
    sys.modules["mailcap"] = types.ModuleType("mailcap")
    sys.modules["mailcap"].subst = None

from cmq.account import Account
from cmq.queue import Message


def main():
    mode, host, name, count, size, in_flight = sys.argv[1:]
    count, size, in_flight = int(count), int(size), max(1, int(in_flight))
    job = {"send": send, "drain": drain}[mode]
    accounts = []
    for _ in range(in_flight):
        account = Account("http://" + host, "AKIDdev", "dev-secret")
        account.set_sign("sha256")
        accounts.append(account)
    run(job, accounts, name, int(os.environ["BENCH_WARM"]), size)
    print("begin", file=sys.stderr, flush=True)
    begun, cpu = time.monotonic(), spent()
    micros, errors = run(job, accounts, name, count, size)
    seconds, cpu = time.monotonic() - begun, spent() - cpu
    micros.sort()
    at = lambda part: micros[min(len(micros) - 1, int(len(micros) * part))] if micros else 0
    print(json.dumps({
        "mode": mode, "count": count, "seconds": seconds, "messages_per_second": count / seconds,
        "cpu_us_per_message": cpu * 1e6 / count, "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "errors": errors, "latency_us": {"p50": at(0.5), "p99": at(0.99)},
    }))


def run(job, accounts, name, count, size):
    micros, errors, lock, left = [], [0], threading.Lock(), [count]

    def work(account):
        queue, mine = account.get_queue(name), []
        while True:
            with lock:
                if left[0] == 0:
                    micros.extend(mine)
                    return
                left[0] -= 1
            begun = time.monotonic()
            try:
                job(queue, size)
                mine.append(int((time.monotonic() - begun) * 1e6))
            except Exception as error:
                with lock:
                    errors[0] += 1
                    if errors[0] == 1:
                        print(error, file=sys.stderr)

    threads = [threading.Thread(target=work, args=(account,)) for account in accounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return micros, errors[0]


def send(queue, size):
    queue.send_message(Message("x" * size))


def drain(queue, size):
    message = queue.receive_message(3)
    if len(message.msgBody) != size:
        raise ValueError("another message")
    queue.delete_message(message.receiptHandle)


def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
