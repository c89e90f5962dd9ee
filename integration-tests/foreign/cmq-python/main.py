"""CMQ's official SDK for Python as a command.

    main.py --endpoint http://HOST:PORT --id SECRET_ID --key SECRET_KEY [--sign sha1|sha256] [--method POST|GET]

A line on stdin is a call, as JSON: `{"Action": "SendMessage", "queueName": "q", "msgBody": "hello"}`, in the words of the wire; lists are
arrays. A line on stdout is what the SDK made of the answer, as JSON, with `code` 0; or `code` and `error`, with -1 for what was no answer of
the server's and -2 for what the SDK can't be asked. It ends with its input, with exit code 0; 2 is a wrong command line.
"""

import argparse
import json
import sys
import types

try:
    import mailcap  # noqa: F401
except ImportError:
    # Python 3.13 has it no longer. The SDK imports a name of it that it does not use.
    sys.modules["mailcap"] = types.ModuleType("mailcap")
    sys.modules["mailcap"].subst = None

from cmq import queue, subscription, topic
from cmq.account import Account
from cmq.cmq_exception import CMQExceptionBase


class Unable(Exception):
    """The SDK has no such call, or no such parameter of it."""


def main():
    args = parse()
    account = Account(args.endpoint, args.id, args.key)
    account.set_sign(args.sign)
    account.get_client().set_method(args.method)
    for line in sys.stdin:
        print(json.dumps(answer(account, json.loads(line))), flush=True)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--sign", choices=["sha1", "sha256"], default="sha1")
    parser.add_argument("--method", choices=["POST", "GET"], default="POST")
    return parser.parse_args()


def answer(account, params):
    action = params.pop("Action")
    try:
        if action not in CALLS:
            raise Unable(action)
        given = Params(params)
        fields = CALLS[action](account, given)
        given.finish()
    except Unable as error:
        return {"code": -2, "error": "the SDK has no %s" % error}
    except CMQExceptionBase as error:
        return {"code": getattr(error, "code", -1), "error": str(getattr(error, "message", error))}
    return dict(fields or {}, code=0)


class Params:
    """Parameters, each of which has to be asked for."""

    def __init__(self, params):
        self.params = params

    def __call__(self, name, default=None):
        return self.params.pop(name, default)

    def finish(self):
        if self.params:
            raise Unable("parameter " + ", ".join(self.params))


def send(account, given):
    sent = queue_of(account, given).send_message(queue.Message(given("msgBody")), given("delaySeconds", 0))
    return {"msgId": sent.msgId}


def batch_send(account, given):
    messages = [queue.Message(body) for body in given("msgBody")]
    sent = queue_of(account, given).batch_send_message(messages, given("delaySeconds", 0))
    return {"msgList": [{"msgId": message.msgId} for message in sent]}


def receive(account, given):
    message = queue_of(account, given).receive_message(given("pollingWaitSeconds"))
    return received(message)


def batch_receive(account, given):
    messages = queue_of(account, given).batch_receive_message(given("numOfMsg"), given("pollingWaitSeconds"))
    return {"msgInfoList": [received(message) for message in messages]}


def received(message):
    return {name: value for name, value in vars(message).items() if name != "msgTag"}


def delete(account, given):
    queue_of(account, given).delete_message(given("receiptHandle"))


def batch_delete(account, given):
    queue_of(account, given).batch_delete_message(given("receiptHandle"))


def publish(account, given):
    message = topic.Message(given("msgBody"), given("msgTag", []))
    return {"msgId": topic_of(account, given).publish_message(message, given("routingKey", "")).msgId}


def batch_publish(account, given):
    messages = [topic.Message(body) for body in given("msgBody")]
    sent = topic_of(account, given).batch_publish_message(messages, given("msgTag", []), given("routingKey", ""))
    return {"msgList": [{"msgId": message.msgId} for message in sent]}


def create_queue(account, given):
    queue_of(account, given).create(queue_meta(given))


def set_queue(account, given):
    queue_of(account, given).set_attributes(queue_meta(given))


def queue_meta(given):
    """What is not given is sent with the SDK's default."""
    meta = queue.QueueMeta()
    for name in QUEUE_SETTINGS:
        setattr(meta, name, given(name, getattr(meta, name)))
    return meta


def get_queue(account, given):
    return vars(queue_of(account, given).get_attributes())


def list_queue(account, given):
    count, names, _ = account.list_queue(given("searchWord", ""), given("limit", -1), given("offset", ""))
    return {"totalCount": count, "queueList": names}


def delete_queue(account, given):
    queue_of(account, given).delete()


def rewind(account, given):
    queue_of(account, given).rewindQueue(given("startConsumeTime"))


def create_topic(account, given):
    topic_of(account, given).create(topic_meta(given))


def set_topic(account, given):
    topic_of(account, given).set_attributes(topic_meta(given))


def topic_meta(given):
    meta = topic.TopicMeta()
    meta.maxMsgSize = given("maxMsgSize", meta.maxMsgSize)
    meta.filterType = given("filterType", meta.filterType)
    return meta


def get_topic(account, given):
    return vars(topic_of(account, given).get_attributes())


def list_topic(account, given):
    count, names, _ = account.list_topic(given("searchWord", ""), given("limit", -1), given("offset", ""))
    return {"totalCount": count, "topicList": names}


def delete_topic(account, given):
    topic_of(account, given).delete()


def subscribe(account, given):
    meta = subscription_meta(given)
    meta.Protocal = given("protocol")
    meta.Endpoint = given("endpoint")
    subscription_of(account, given).create(meta)


def set_subscription(account, given):
    subscription_of(account, given).set_attributes(subscription_meta(given))


def subscription_meta(given):
    meta = subscription.SubscriptionMeta()
    meta.NotifyStrategy = given("notifyStrategy", meta.NotifyStrategy)
    meta.NotifyContentFormat = given("notifyContentFormat", meta.NotifyContentFormat)
    meta.FilterTag = given("filterTag", [])
    meta.bindingKey = given("bindingKey", [])
    return meta


def get_subscription(account, given):
    meta = subscription_of(account, given).get_attributes()
    return {
        "protocol": meta.Protocal,
        # It keeps the end point under another name.
        "endpoint": getattr(meta, "maxMsgHeapNum", None),
        "notifyStrategy": meta.NotifyStrategy,
        "notifyContentFormat": meta.NotifyContentFormat,
        "filterTags": meta.FilterTag,
        "bindingKey": meta.bindingKey,
    }


def list_subscription(account, given):
    word, limit, offset = given("searchWord", ""), given("limit", -1), given("offset", "")
    count, names, _ = topic_of(account, given).list_subscription(word, limit, offset)
    return {"totalCount": count, "subscriptionList": names}


def clear_tags(account, given):
    subscription_of(account, given).clearFilterTags()


def unsubscribe(account, given):
    subscription_of(account, given).delete()


def queue_of(account, given):
    return account.get_queue(given("queueName"))


def topic_of(account, given):
    return account.get_topic(given("topicName"))


def subscription_of(account, given):
    return account.get_subscription(given("topicName"), given("subscriptionName"))


QUEUE_SETTINGS = [
    "maxMsgHeapNum",
    "pollingWaitSeconds",
    "visibilityTimeout",
    "maxMsgSize",
    "msgRetentionSeconds",
    "rewindSeconds",
]

CALLS = {
    "SendMessage": send,
    "BatchSendMessage": batch_send,
    "ReceiveMessage": receive,
    "BatchReceiveMessage": batch_receive,
    "DeleteMessage": delete,
    "BatchDeleteMessage": batch_delete,
    "PublishMessage": publish,
    "BatchPublishMessage": batch_publish,
    "CreateQueue": create_queue,
    "SetQueueAttributes": set_queue,
    "GetQueueAttributes": get_queue,
    "ListQueue": list_queue,
    "DeleteQueue": delete_queue,
    "RewindQueue": rewind,
    "CreateTopic": create_topic,
    "SetTopicAttributes": set_topic,
    "GetTopicAttributes": get_topic,
    "ListTopic": list_topic,
    "DeleteTopic": delete_topic,
    "Subscribe": subscribe,
    "SetSubscriptionAttributes": set_subscription,
    "GetSubscriptionAttributes": get_subscription,
    "ListSubscriptionByTopic": list_subscription,
    "ClearSubscriptionFilterTags": clear_tags,
    "Unsubscribe": unsubscribe,
}

if __name__ == "__main__":
    main()
