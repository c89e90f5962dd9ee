// CMQ's SDK for Node as a command; see foreign/cmq-python/main.py for what it reads and writes.
//
//   CMQ_ADDRESS=HOST:PORT node -r ./preload.js main.js --id SECRET_ID --key SECRET_KEY [--sign sha1|sha256]
//
// The SDK gives the server's answers as they are, errors too, and knows POST alone.
'use strict';

const readline = require('readline');
const { CMQ } = require('cmq-sdk');

const CALLS = [
  'CreateQueue', 'ListQueue', 'GetQueueAttributes', 'SetQueueAttributes', 'DeleteQueue', 'RewindQueue',
  'SendMessage', 'BatchSendMessage', 'ReceiveMessage', 'BatchReceiveMessage', 'DeleteMessage', 'BatchDeleteMessage',
  'CreateTopic', 'SetTopicAttributes', 'ListTopic', 'GetTopicAttributes', 'DeleteTopic',
  'PublishMessage', 'BatchPublishMessage',
  'Subscribe', 'ListSubscriptionByTopic', 'SetSubscriptionAttributes', 'Unsubscribe', 'GetSubscriptionAttributes',
  'ClearSubscriptionFilterTags',
];

function options(args) {
  const found = { sign: 'sha1', method: 'POST' };
  for (let at = 0; at < args.length; at += 2) {
    found[args[at].replace(/^--/, '')] = args[at + 1];
  }
  if (!found.id || !found.key || !['sha1', 'sha256'].includes(found.sign) || found.method !== 'POST') {
    process.stderr.write('usage: main.js --id SECRET_ID --key SECRET_KEY [--sign sha1|sha256] [--method POST]\n');
    process.exit(2);
  }
  return found;
}

async function answer(client, line) {
  const { Action: action, ...params } = JSON.parse(line);
  if (!CALLS.includes(action)) {
    return { code: -2, error: `the SDK has no ${action}` };
  }
  try {
    const said = await client[action[0].toLowerCase() + action.slice(1)](params);
    return said.code === 0 ? said : { ...said, error: said.message };
  } catch (error) {
    return { code: -1, error: String(error) };
  }
}

async function main() {
  const { id, key, sign } = options(process.argv.slice(2));
  const client = CMQ.NEW({
    secretId: id,
    secretKey: key,
    signatureMethod: sign === 'sha256' ? 'HmacSHA256' : 'HmacSHA1',
    region: 'gz',
    path: '/v2/index.php',
    extranet: false,
  });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(client, line))}\n`);
  }
}

main();
