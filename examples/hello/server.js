/**
 * A small web app without dependencies, to see a machine from the inside: `/` tells its name and what it sees of CPU, memory and
 * processes, `/healthz` says ok. `--code examples/hello` puts it into /app, where the image `node` starts it.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { availableParallelism, cpus, freemem, hostname, release, totalmem } from 'node:os';

const port = Number(process.env.PORT ?? 80);
const startedAt = Date.now();
let answered = 0;

const mib = (bytes) => `${Math.round(bytes / 1024 / 1024).toLocaleString('en')} MiB`;

const duration = (seconds) => {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ].filter(([value]) => value > 0);
  return parts.length === 0 ? 'less than a second' : parts.map((part) => part.join(' ')).join(' ');
};

const systemName = () => {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  } catch {
    return 'Linux';
  }
};

const processes = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length;

const uptime = () => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);

const facts = () => ({
  name: hostname(),
  uptimeSeconds: uptime(),
  appSeconds: (Date.now() - startedAt) / 1000,
  cpus: cpus().length,
  usableCpus: availableParallelism(),
  memoryTotal: totalmem(),
  memoryFree: freemem(),
  appMemory: process.memoryUsage.rss(),
  processes: processes(),
  system: systemName(),
  kernel: release(),
  node: process.version,
  answered,
});

const escaped = (text) => String(text).replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

const page = (seen) => {
  const rows = [
    ['Up for', duration(seen.uptimeSeconds)],
    ['CPUs', seen.usableCpus === seen.cpus ? seen.cpus : `${seen.usableCpus} of ${seen.cpus}`],
    ['Memory', `${mib(seen.memoryTotal)}, of which ${mib(seen.memoryFree)} free; this app takes ${mib(seen.appMemory)}`],
    ['Processes', `${seen.processes} in the whole machine`],
    ['System', `${seen.system}, shared by every machine of this host`],
    ['Kernel', seen.kernel],
    ['Node', seen.node],
    ['Answers so far', seen.answered],
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(seen.name)}</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 12vh auto 2rem; padding: 0 1.25rem; }
  h1 { font-size: 2rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
  p { margin: 0 0 1.5rem; opacity: .75; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: .5rem 1.5rem; margin: 0; }
  dt { opacity: .65; }
  dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
</style>
</head>
<body>
<main>
<h1>Hello from ${escaped(seen.name)}</h1>
<p>A SmartMachine: only this app, on the one system of its host.</p>
<dl>
${rows.map(([term, value]) => `<dt>${escaped(term)}</dt><dd>${escaped(value)}</dd>`).join('\n')}
</dl>
</main>
</body>
</html>
`;
};

const answer = (response, status, type, body) => {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' });
  response.end(body);
};

const server = createServer((request, response) => {
  const path = (request.url ?? '/').split('?')[0];
  if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, 'text/plain', 'only GET\n');
  if (path === '/healthz') return answer(response, 200, 'text/plain', 'ok\n');
  if (path !== '/') return answer(response, 404, 'text/plain', 'there is only / here, and /healthz\n');
  answered += 1;
  const seen = facts();
  return request.headers.accept?.includes('application/json')
    ? answer(response, 200, 'application/json', `${JSON.stringify(seen)}\n`)
    : answer(response, 200, 'text/html', page(seen));
});

// The first process of a machine gets no default for signals: without this a stop would wait for its grace period.
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeAllConnections();
  });
}

server.listen(port, () => console.log(`hello: listening on port ${server.address().port}`));
