"""Tencent Cloud's SDK for Python (tdmq 2020-02-17) as a command.

    main.py --endpoint HOST:PORT --id SECRET_ID --key SECRET_KEY [--region REGION] [--token TOKEN] [--unsigned-payload]

A line on stdin is a call, as JSON: `{"Action": "CreateCmqQueue", "QueueName": "q"}`, in the words of the wire. A line on stdout is what the
SDK made of the answer, as JSON, with `Code` ""; or `Code`, `Message` and `RequestId` of the error that it raised, and "ClientError.NoSuchAction" for
an action that it does not know. It ends with its input, with exit code 0. It speaks plain HTTP.
"""

import argparse
import json
import sys

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.tdmq.v20200217 import models, tdmq_client


def main():
    args = parse()
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=args.endpoint, reqTimeout=10))
    profile.unsignedPayload = args.unsigned_payload
    keys = credential.Credential(args.id, args.key, args.token)
    client = tdmq_client.TdmqClient(keys, args.region, profile)
    for line in sys.stdin:
        print(json.dumps(answer(client, json.loads(line))), flush=True)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--region", default="ap-guangzhou")
    parser.add_argument("--token")
    parser.add_argument("--unsigned-payload", action="store_true")
    return parser.parse_args()


def answer(client, call):
    action = call.pop("Action")
    if not hasattr(client, action):
        return {"Code": "ClientError.NoSuchAction", "Message": f"the SDK has no {action}"}
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(call))
    try:
        reply = getattr(client, action)(request)
    except TencentCloudSDKException as error:
        return {"Code": error.get_code(), "Message": error.get_message(), "RequestId": error.get_request_id()}
    return {"Code": "", **json.loads(reply.to_json_string())}


if __name__ == "__main__":
    main()
