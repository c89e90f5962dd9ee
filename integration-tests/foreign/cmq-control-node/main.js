// Tencent Cloud's SDK for Node (tdmq 2020-02-17) as a command; see foreign/cmq-control-python/main.py for what it reads and writes.
//
//   main.js --endpoint HOST:PORT --id SECRET_ID --key SECRET_KEY [--region REGION] [--token TOKEN]
//
// The SDK has no unsigned payload. An action that it does not know is answered here with the code "ClientError.NoSuchAction".
'use strict';

const readline = require('readline');
const { tdmq } = require('tencentcloud-sdk-nodejs/tencentcloud/services/tdmq');

const TdmqClient = tdmq.v20200217.Client;

function options(args) {
  const found = { region: 'ap-guangzhou' };
  for (let at = 0; at < args.length; at += 2) {
    found[args[at].replace(/^--/, '')] = args[at + 1];
  }
  if (!found.endpoint || !found.id || !found.key) {
    process.stderr.write('usage: main.js --endpoint HOST:PORT --id SECRET_ID --key SECRET_KEY [--region REGION] [--token TOKEN]\n');
    process.exit(2);
  }
  return found;
}

async function answer(client, line) {
  const { Action: action, ...params } = JSON.parse(line);
  if (!Object.prototype.hasOwnProperty.call(TdmqClient.prototype, action)) {
    return { Code: 'ClientError.NoSuchAction', Message: `the SDK has no ${action}`, RequestId: '' };
  }
  try {
    return { Code: '', ...(await client[action](params)) };
  } catch (error) {
    // Without an answer of the server's it has no code.
    return { Code: error.code || 'ClientError', Message: error.message, RequestId: error.requestId || '' };
  }
}

async function main() {
  const { endpoint, id, key, region, token } = options(process.argv.slice(2));
  const client = new TdmqClient({
    credential: { secretId: id, secretKey: key, token },
    region,
    profile: { httpProfile: { protocol: 'http://', endpoint, reqTimeout: 10 } },
  });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(client, line))}\n`);
  }
}

main();
