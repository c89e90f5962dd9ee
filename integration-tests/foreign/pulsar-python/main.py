"""Pulsar's client for Python as a command.

    main.py send --url URL --topic T --messages JSON …
    main.py recv --url URL --topic T --subscription S --count N …

One JSON line a message on stdout; exit code 0 = done, 1 = error, 2 = usage, 5 = timed out. The flags are those of foreign/pulsar-java's
Once.java, which says what they are; but this client lets nobody choose how a key is hashed.
"""

import argparse
import base64
import json
import sys
import threading

import pulsar

FAILED = 1
TIMED_OUT = 5


def main():
    args = parse()
    client = pulsar.Client(
        args.url, operation_timeout_seconds=20, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
    )
    try:
        code = {"send": send, "recv": recv}[args.command](client, args)
    except pulsar.PulsarException as error:
        line({"error": repr(error), "code": -1})
        code = FAILED
    client.close()
    sys.exit(code)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["send", "recv"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--messages", type=json.loads, default=[])
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--compression", default="none", choices=["none", "lz4", "zlib", "zstd", "snappy"])
    parser.add_argument("--subscription")
    parser.add_argument("--type", default="exclusive", choices=["exclusive", "shared"])
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--ack", default="all")
    parser.add_argument("--queue", type=int, default=1000)
    parser.add_argument("--batch-index", default="false", choices=["true", "false"])
    parser.add_argument("--idle-ms", type=int)
    parser.add_argument("--timeout-ms", type=int, default=60_000)
    return parser.parse_args()


def send(client, args):
    options = {}
    if args.batch:
        # Only its size, or a flush, closes a batch.
        options = {"batching_max_messages": args.batch, "batching_max_publish_delay_ms": 30_000}
    compression = "ZLib" if args.compression == "zlib" else args.compression.upper()
    producer = client.create_producer(
        args.topic,
        batching_enabled=args.batch > 0,
        compression_type=getattr(pulsar.CompressionType, compression),
        **options,
    )
    answers = {}
    all_there = threading.Event()

    def answered(number):
        def keep(result, place_of_it):
            answers[number] = (result, place_of_it)
            if len(answers) == len(args.messages):
                all_there.set()

        return keep

    for number, message in enumerate(args.messages):
        value, order = message.get("value"), message.get("ordering_key")
        producer.send_async(
            None if value is None else base64.b64decode(value),
            answered(number),
            properties=message.get("properties"),
            partition_key=message.get("key"),
            ordering_key=order and base64.b64decode(order).decode(),
            event_timestamp=message.get("event_time"),
        )
    producer.flush()
    if not all_there.wait(30):
        return TIMED_OUT
    for number in range(len(args.messages)):
        result, place_of_it = answers[number]
        if result != pulsar.Result.Ok:
            line({"error": str(result), "code": -1})
            return FAILED
        line(place(place_of_it))
    producer.close()
    return 0


def recv(client, args):
    consumer = client.subscribe(
        args.topic,
        args.subscription,
        consumer_type=pulsar.ConsumerType.Shared if args.type == "shared" else pulsar.ConsumerType.Exclusive,
        initial_position=pulsar.InitialPosition.Earliest,
        receiver_queue_size=args.queue,
        batch_index_ack_enabled=args.batch_index == "true",
    )
    print("ready", file=sys.stderr, flush=True)
    numbers = args.ack.split(",")
    for number in range(args.count):
        try:
            message = consumer.receive(args.idle_ms or args.timeout_ms)
        except pulsar.Timeout:
            return 0 if args.idle_ms else TIMED_OUT
        line(shown(message))
        if args.ack == "all" or str(number) in numbers:
            consumer.acknowledge(message)
    consumer.close()
    return 0


def place(id):
    return {
        "ledger": id.ledger_id(),
        "entry": id.entry_id(),
        "partition": id.partition(),
        "batch_index": id.batch_index(),
    }


def shown(message):
    """What has no key is as one that has an empty one."""
    value = None if message.has_null_value() else base64.b64encode(message.data()).decode()
    order = message.ordering_key()
    return place(message.message_id()) | {
        "value": value,
        "key": message.partition_key() or None,
        "ordering_key": base64.b64encode(order.encode()).decode() if order else None,
        "properties": message.properties(),
        "event_time": message.event_timestamp(),
    }


def line(fields):
    print(json.dumps(fields, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
