"""pika as a command.

    main.py --url amqp://USER:PASSWORD@HOST:PORT/VHOST --name CONNECTION_NAME

A line on stdin is a call, as JSON: `{"Action": "Publish", "exchange": "", "key": "q", "properties": {}, "body": "aGVsbG8="}`; bodies are in base64. A
line on stdout is the answer, as JSON, with `code` 0; or `code` and `error`: the broker's reply code, -1 for what was no answer of the broker's, -2 for what
pika can't be asked. A value of a field table is an object with one entry, whose name is the wire's letter for its type: `{"I": 5}`, `{"S": "text"}`,
`{"x": base64}`, `{"Sx": base64}` for a long string that is no UTF-8, `{"D": [scale, digits]}`, `{"T": seconds}`, `{"V": null}`, `{"A": [values]}`,
`{"F": [[name, value], …]}`. It ends with its input, after it closed its connection, with exit code 0.
"""

import argparse
import base64
import datetime
import decimal
import json
import sys

import pika
import pika.exceptions

PROPERTIES = [
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to", "expiration", "message_id",
    "timestamp", "type", "user_id", "app_id", "cluster_id",
]
# What basic_get and consume wait for at most.
PATIENCE = 30


class Unable(Exception):
    """pika has no such thing."""


def main():
    args = parse()
    client = Client(args.url, args.name)
    for line in sys.stdin:
        print(json.dumps(answer(client, json.loads(line))), flush=True)
    client.close({})


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--name", required=True)
    return parser.parse_args()


def answer(client, params):
    action = params.pop("Action")
    call = getattr(client, ACTIONS.get(action, ""), None)
    try:
        if call is None:
            raise Unable(action)
        return dict(call(params) or {}, code=0)
    except Unable as error:
        return {"code": -2, "error": "pika has no %s" % error}
    except (pika.exceptions.ChannelClosed, pika.exceptions.ConnectionClosed) as error:
        return {"code": error.reply_code, "error": error.reply_text}
    except (pika.exceptions.AMQPError, TimeoutError) as error:
        return {"code": -1, "error": repr(error)}


class Client:
    """A connection with a channel for what is asked, one with confirms, and one a held consumer."""

    def __init__(self, url, name):
        parameters = pika.URLParameters(url)
        parameters.client_properties = {"connection_name": name}
        self.connection = pika.BlockingConnection(parameters)
        self.plain = None
        self.confirming = None
        self.held = None

    def channel(self):
        if self.plain is None or not self.plain.is_open:
            self.plain = self.connection.channel()
        return self.plain

    # Topology.

    def declare_queue(self, given):
        said = self.channel().queue_declare(
            given["queue"], passive=flag(given, "passive"), durable=flag(given, "durable"), exclusive=flag(given, "exclusive"),
            auto_delete=flag(given, "auto_delete"), arguments=table(given.get("arguments")))
        return {"queue": said.method.queue, "messages": said.method.message_count, "consumers": said.method.consumer_count}

    def declare_exchange(self, given):
        self.channel().exchange_declare(
            given["exchange"], given["kind"], passive=flag(given, "passive"), durable=flag(given, "durable"),
            auto_delete=flag(given, "auto_delete"), internal=flag(given, "internal"), arguments=table(given.get("arguments")))

    def bind(self, given):
        if "destination" in given:
            self.channel().exchange_bind(given["destination"], given["exchange"], given["key"], table(given.get("arguments")))
        else:
            self.channel().queue_bind(given["queue"], given["exchange"], given["key"], table(given.get("arguments")))

    def unbind(self, given):
        if "destination" in given:
            self.channel().exchange_unbind(given["destination"], given["exchange"], given["key"], table(given.get("arguments")))
        else:
            self.channel().queue_unbind(given["queue"], given["exchange"], given["key"], table(given.get("arguments")))

    def purge(self, given):
        return {"messages": self.channel().queue_purge(given["queue"]).method.message_count}

    def delete(self, given):
        if "exchange" in given:
            self.channel().exchange_delete(given["exchange"], if_unused=flag(given, "if_unused"))
            return None
        deleted = self.channel().queue_delete(given["queue"], if_unused=flag(given, "if_unused"), if_empty=flag(given, "if_empty"))
        return {"messages": deleted.method.message_count}

    # Messages.

    def publish(self, given):
        """With a confirm, and what came back if no queue took it."""
        if self.confirming is None or not self.confirming.is_open:
            self.confirming = self.connection.channel()
            self.confirming.confirm_delivery()
        try:
            self.confirming.basic_publish(given["exchange"], given["key"], unbase64(given["body"]), properties(given["properties"]),
                                          mandatory=flag(given, "mandatory"))
        except pika.exceptions.UnroutableError as error:
            back = error.messages[0]
            message = written(back.method.exchange, back.method.routing_key, False, back.properties, back.body)
            return {"outcome": "returned", "reply_code": back.method.reply_code, "reply_text": back.method.reply_text, "message": message}
        except pika.exceptions.NackError:
            return {"outcome": "nack"}
        return {"outcome": "ack"}

    def receive(self, given):
        """`count` messages, acknowledged one by one unless by themselves, with a consumer of its own that is cancelled then."""
        channel = self.connection.channel()
        channel.basic_qos(prefetch_count=given.get("prefetch", 10))
        messages = []
        auto_ack = flag(given, "auto_ack")
        coming = channel.consume(given["queue"], auto_ack=auto_ack, exclusive=flag(given, "exclusive"), inactivity_timeout=PATIENCE,
                                 arguments=table(given.get("arguments")))
        for method, props, body in coming:
            if method is None:
                raise TimeoutError("%d messages came" % len(messages))
            messages.append(written(method.exchange, method.routing_key, method.redelivered, props, body))
            if not auto_ack:
                channel.basic_ack(method.delivery_tag)
            if len(messages) == given["count"]:
                break
        channel.cancel()
        channel.close()
        return {"messages": messages}

    def hold(self, given):
        """`count` messages that stay unsettled."""
        self.held = self.connection.channel()
        self.held.basic_qos(prefetch_count=given["count"])
        messages = []
        for method, props, body in self.held.consume(given["queue"], inactivity_timeout=PATIENCE):
            if method is None:
                raise TimeoutError("%d messages came" % len(messages))
            messages.append(written(method.exchange, method.routing_key, method.redelivered, props, body))
            if len(messages) == given["count"]:
                break
        return {"messages": messages}

    def settle(self, given):
        """Settles what is held, by delivery tag."""
        how, tag = given["how"], given["tag"]
        if how == "ack":
            self.held.basic_ack(tag, multiple=flag(given, "multiple"))
        elif how == "nack":
            self.held.basic_nack(tag, multiple=flag(given, "multiple"), requeue=flag(given, "requeue"))
        elif how == "reject":
            self.held.basic_reject(tag, requeue=flag(given, "requeue"))
        else:
            self.held.basic_recover(requeue=True)

    def get(self, given):
        method, props, body = self.channel().basic_get(given["queue"], auto_ack=flag(given, "auto_ack"))
        if method is None:
            return {"message": None}
        if not flag(given, "auto_ack"):
            self.channel().basic_ack(method.delivery_tag)
        return {"message": written(method.exchange, method.routing_key, method.redelivered, props, body), "left": method.message_count}

    # Requests.

    def call(self, given):
        """A request whose answer comes by direct reply-to."""
        channel = self.connection.channel()
        answers = []
        channel.basic_consume("amq.rabbitmq.reply-to", lambda _c, method, props, body: answers.append((method, props, body)), auto_ack=True)
        asked = properties(dict(given["properties"], reply_to="amq.rabbitmq.reply-to"))
        channel.basic_publish(given["exchange"], given["key"], unbase64(given["body"]), asked)
        self.connection.process_data_events(time_limit=0)
        waited = 0
        while not answers and waited < PATIENCE:
            self.connection.process_data_events(time_limit=1)
            waited += 1
        channel.close()
        if not answers:
            raise TimeoutError("no answer")
        method, props, body = answers[0]
        return {"message": written(method.exchange, method.routing_key, method.redelivered, props, body)}

    def serve(self, given):
        """Answers `count` requests with what was asked behind "pika: "."""
        channel = self.connection.channel()
        channel.basic_qos(prefetch_count=1)
        served = 0
        for method, props, body in channel.consume(given["queue"], inactivity_timeout=PATIENCE):
            if method is None:
                raise TimeoutError("%d requests came" % served)
            reply = pika.BasicProperties(correlation_id=props.correlation_id)
            channel.basic_publish("", props.reply_to, b"pika: " + body, reply)
            channel.basic_ack(method.delivery_tag)
            served += 1
            if served == given["count"]:
                break
        channel.cancel()
        channel.close()
        return {"served": served}

    # Ordered topics, as docs/amqp/ordered.md shows it.

    def partition(self, given):
        return {"partition": partition(given["key"], given["partitions"])}

    # What nobody needs but the fixtures.

    def transact(self, given):
        channel = self.connection.channel()
        channel.tx_select()
        channel.basic_publish("", given["queue"], b"thrown away")
        channel.tx_rollback()
        channel.basic_publish("", given["queue"], b"kept")
        channel.tx_commit()
        channel.close()

    def flow(self, _given):
        return {"active": self.channel().flow(True)}

    def close(self, _given):
        if self.connection.is_open:
            self.connection.close()


ACTIONS = {
    "DeclareQueue": "declare_queue", "DeclareExchange": "declare_exchange", "Bind": "bind", "Unbind": "unbind", "Purge": "purge",
    "Delete": "delete", "Publish": "publish", "Receive": "receive", "Hold": "hold", "Settle": "settle", "Get": "get", "Call": "call",
    "Serve": "serve", "Partition": "partition", "Transact": "transact", "Flow": "flow", "Close": "close",
}


def partition(key, partitions):
    hashed = 0xCBF29CE484222325
    for byte in key.encode():
        hashed = (hashed ^ byte) * 0x100000001B3 % (1 << 64)
    return hashed % partitions


def flag(given, name):
    return given.get(name, False)


def unbase64(text):
    return base64.b64decode(text)


def to_base64(raw):
    return base64.b64encode(raw).decode()


def properties(given):
    read = dict(given)
    if "headers" in read:
        read["headers"] = table(read["headers"])
    return pika.BasicProperties(**read)


def written(exchange, key, redelivered, props, body):
    there = {name: getattr(props, name) for name in PROPERTIES if getattr(props, name) is not None}
    if "headers" in there:
        there["headers"] = value(there["headers"])["F"]
    return {"exchange": exchange, "key": key, "redelivered": redelivered, "properties": there, "body": to_base64(body)}


def table(pairs):
    return None if pairs is None else {name: python(given) for name, given in pairs}


def python(given):
    """What pika is to be given for a value to be written with its letter."""
    (letter, held), = given.items()
    if letter in ("t", "I", "S", "V"):
        return held
    if letter == "l":
        return pika.compat.long(held)
    if letter == "x":
        return unbase64(held)
    if letter == "D":
        scale, digits = held
        return decimal.Decimal(digits).scaleb(-scale)
    if letter == "T":
        return datetime.datetime.fromtimestamp(held, datetime.timezone.utc)
    if letter == "A":
        return [python(each) for each in held]
    if letter == "F":
        return table(held)
    raise Unable("way to write " + letter)


def value(held):
    """What pika made of a value, with the letter that it would write it with."""
    if held is None:
        return {"V": None}
    if isinstance(held, bool):
        return {"t": held}
    if isinstance(held, pika.compat.long):
        return {"l": int(held)}
    if isinstance(held, int):
        return {"I" if -(1 << 31) <= held < 1 << 31 else "l": held}
    if isinstance(held, str):
        return {"S": held}
    if isinstance(held, bytes):
        return {"x": to_base64(held)}
    if isinstance(held, decimal.Decimal):
        sign, digits, exponent = held.as_tuple()
        number = int("".join(map(str, digits)))
        return {"D": [-exponent, -number if sign else number]}
    if isinstance(held, datetime.datetime):
        return {"T": int(held.timestamp())}
    if isinstance(held, list):
        return {"A": [value(each) for each in held]}
    return {"F": [[name, value(each)] for name, each in held.items()]}


if __name__ == "__main__":
    main()
