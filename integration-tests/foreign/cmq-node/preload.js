// The SDK has CMQ's host names written into it, and port 80. Loaded before it (`node -r`), this sends what goes there to the server of
// the test instead, which CMQ_ADDRESS names; the SDK and what it signs stay as they are. Nothing else is let out.
'use strict';

const http = require('http');
const net = require('net');

const [host, port] = process.env.CMQ_ADDRESS.split(':');

http.Agent.prototype.createConnection = function (options, callback) {
  const name = String(options.host || options.hostname);
  if (!/^cmq-(queue|topic)-[a-z]+\.api\.tencentyun\.com$/.test(name)) {
    throw new Error(`nobody but CMQ is to be asked, not ${name}`);
  }
  return net.createConnection({ host, port: Number(port) }, callback);
};
