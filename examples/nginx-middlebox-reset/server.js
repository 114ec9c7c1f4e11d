'use strict';
const http = require('http');

const host = process.env.HOST || '0.0.0.0';
const port = Number(process.env.PORT || 3000);

const log = (entry) => console.log(JSON.stringify({ time: new Date().toISOString(), ...entry }));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function handle(req, url, body) {
  await sleep(3 + Math.random() * 25);
  if (req.method === 'POST') return { status: 201, body: { id: Math.ceil(Math.random() * 1e6) } };
  if (req.method === 'DELETE') return { status: 204 };
  return { status: 200, body: { path: url.pathname, items: ['lamp', 'chair', 'desk'] } };
}

const server = http.createServer((req, res) => {
  const started = Date.now();
  const id = req.headers['x-request-id'];
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', async () => {
    const url = new URL(req.url, 'http://shop.example');
    const reply = await handle(req, url, Buffer.concat(chunks).toString());
    res.writeHead(reply.status, { 'Content-Type': 'application/json', ...reply.headers });
    res.end(reply.body ? JSON.stringify(reply.body) : undefined);
    log({ level: 'info', method: req.method, url: req.url, status: reply.status, ms: Date.now() - started, id });
  });
});

server.keepAliveTimeout = 75000;
server.listen(port, host, () => log({ level: 'info', msg: `listening on port ${port}`, pid: process.pid }));
