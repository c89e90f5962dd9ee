"""What the driver asks of the broker: topics, offsets, CPU time. Enough of the remoting protocol for that."""

import json
import os
import socket
import struct
import time
from pathlib import Path

import common

QUEUES = 8
# Where messages wait that a consumer sent back, one queue a delay level.
SENT_BACK = "SCHEDULE_TOPIC_XXXX"
DELAY_LEVELS = 18
CREATE_TOPIC, ROUTE, MAX_OFFSET = 17, 105, 30


class Broker:
    """The one broker of the profile rocketmq-bench."""

    def __init__(self, namesrv):
        self.namesrv = namesrv
        self.pids = common.servers(namesrv, "broker")
        brokers = self.route("broker-a")["brokerDatas"]
        self.address = brokers[0]["brokerAddrs"]["0"]

    def route(self, topic):
        header, body = call(self.namesrv, ROUTE, {"topic": topic, "acceptStandardJsonOnly": "true"})
        return json.loads(body) if header["code"] == 0 else None

    def create_topic(self, topic):
        fields = {
            "topic": topic, "defaultTopic": "TBW102", "readQueueNums": QUEUES, "writeQueueNums": QUEUES,
            "perm": 6, "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": "false",
        }
        header, _ = call(self.address, CREATE_TOPIC, fields)
        if header["code"] != 0:
            raise RuntimeError(f"cannot create {topic}: {header}")
        deadline = time.monotonic() + 30
        while self.route(topic) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{topic} has no route")
            time.sleep(0.1)

    def stored(self, topic, queues=QUEUES):
        """How many messages were ever stored in a topic."""
        total = 0
        for queue in range(queues):
            header, _ = call(self.address, MAX_OFFSET, {"topic": topic, "queueId": queue})
            total += int((header.get("extFields") or {}).get("offset", 0))
        return total

    def sent_back(self):
        return self.stored(SENT_BACK, DELAY_LEVELS)

    def cpu(self):
        """User and system time of the broker so far, in seconds."""
        return sum(common.cpu_of(pid) for pid in self.pids)


def machine_cpu():
    """What all cores have worked so far, in seconds."""
    fields = [int(it) for it in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def call(address, code, fields):
    host, port = address.rsplit(":", 1)
    header = {"code": code, "language": "OTHER", "version": 513, "opaque": 1, "flag": 0, "extFields": fields}
    text = json.dumps(header).encode()
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(struct.pack(">II", 4 + len(text), len(text)) + text)
        stream = connection.makefile("rb")
        (length,) = struct.unpack(">I", stream.read(4))
        frame = stream.read(length)
    size = struct.unpack(">I", frame[:4])[0] & 0xFFFFFF
    return json.loads(frame[4 : 4 + size]), frame[4 + size :]
