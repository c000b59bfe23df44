/**
 * A small map server without dependencies. `/tile/X/Y.png` draws a piece of an endless country: a few milliseconds of computing, no cache.
 * `/report?mib=N` holds N MiB in memory while it adds them up, and says no when that much is not free. `/healthz` says ok. It is what
 * every tenant of `npm run figure1` runs.
 */
import { createServer } from 'node:http';
import { freemem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { tilePng } from './tile.js';

const port = Number(process.env.PORT ?? 80);
/** Left free beside a report: an app that takes the last of its memory is killed. */
const spareMib = 32;
const chunkMib = 4;
const mib = 1024 * 1024;

const answer = (response, status, type, body) => {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' });
  response.end(body);
};

// Tiles wait in one line. Between two of them the loop turns, so that who has hung up is seen, and nothing is drawn for them.
const waiting = [];
let drawing = false;

const drawNext = () => {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { response, x, y } = next;
    if (response.destroyed) continue;
    answer(response, 200, 'image/png', tilePng(x, y));
    break;
  }
  drawing = waiting.length > 0;
  if (drawing) setImmediate(drawNext);
};

const drawInTurn = (response, x, y) => {
  waiting.push({ response, x, y });
  if (drawing) return;
  drawing = true;
  setImmediate(drawNext);
};

/** Takes the memory bit by bit, so that tiles are drawn meanwhile. */
const report = async (response, wantedMib, holdMs) => {
  const freeMib = freemem() / mib;
  if (freeMib < wantedMib + spareMib)
    return answer(response, 503, 'text/plain', `the report needs ${wantedMib} MiB, of which ${Math.floor(freeMib - spareMib)} are free\n`);
  const begun = Date.now();
  const rows = [];
  let sum = 0;
  for (let taken = 0; taken < wantedMib; taken += chunkMib) {
    const chunk = new Float64Array((chunkMib * mib) / 8).fill(taken + 1);
    rows.push(chunk);
    for (let at = 0; at < chunk.length; at += 512) sum += chunk[at];
    await sleep(holdMs / Math.ceil(wantedMib / chunkMib));
  }
  answer(response, 200, 'application/json', `${JSON.stringify({ mib: rows.length * chunkMib, sum, milliseconds: Date.now() - begun })}\n`);
};

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://tiles');
  const tile = /^\/tile\/(\d{1,6})\/(\d{1,6})\.png$/.exec(url.pathname);
  if (tile !== null) return drawInTurn(response, Number(tile[1]), Number(tile[2]));
  if (url.pathname === '/healthz') return answer(response, 200, 'text/plain', 'ok\n');
  if (url.pathname === '/report') return void report(response, Number(url.searchParams.get('mib') ?? 100), Number(url.searchParams.get('ms') ?? 1000));
  answer(response, 404, 'text/plain', 'there are /tile/X/Y.png, /report?mib=N and /healthz\n');
});
server.keepAliveTimeout = 60_000;

// The first process of a machine gets no default for signals: without this a stop would wait for its grace period.
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeAllConnections();
  });
}

// Drawn once before anyone asks: the first tiles of a cold program take many times as long.
for (let index = 0; index < Number(process.env.WARM ?? 20); index += 1) tilePng(index, 0);
server.listen(port, () => console.log(`tiles: listening on port ${server.address().port}`));
