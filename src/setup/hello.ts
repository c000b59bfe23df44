/** The first machine: the sample app in `examples/hello`, published on a free port, measured from the request to its first answer. */
import { readFileSync, readdirSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pack } from 'tar-stream';
import { CenoteError, messageOf } from '../base/errors.ts';
import { ControlClient } from '../client/control.ts';
import type { Allotment } from '../host/allotment/allotment.ts';
import type { Machine } from '../model/control-api.ts';
import type { PublishedPort } from '../model/machine.ts';

const name = 'hello';
const machinePort = 80;
const firstHostPort = 8080;
/** Little, so that it fits any pool. */
const diskMib = 256;
const portsTried = 200;
const answerTimeoutMs = 30_000;
const imageTimeoutMs = 60_000;
const jobWaitSeconds = 60;

export interface Hello {
  name: string;
  url: string;
  /** From the request to running, and to the first answer; null when it ran already. */
  runningMs: number | null;
  answerMs: number | null;
}

export const ensureHello = async (socketPath: string, sample: string, allotment: Allotment, signal?: AbortSignal): Promise<Hello> => {
  using client = new ControlClient(socketPath);
  const call = { signal };
  const [existing] = await client.machineList({ name }, call);
  const start = performance.now();
  let running: Machine;
  if (existing === undefined) running = await create(client, sample, allotment, signal);
  else if (existing.state === 'running') running = existing;
  else running = machineOf(await client.machineStart(existing.id, { wait: jobWaitSeconds, signal }));
  const runningMs = performance.now() - start;
  const [port] = running.publish;
  if (port === undefined)
    throw new CenoteError('wrong_state', `machine "${name}" publishes no port`, { advice: `cenote delete ${name} --yes, then run \`cenote up\` again` });
  const url = `http://localhost:${port.hostPort}/`;
  await answers(url, signal);
  const ranAlready = existing?.state === 'running';
  return { name, url, runningMs: ranAlready ? null : runningMs, answerMs: ranAlready ? null : performance.now() - start };
};

const create = async (client: ControlClient, sample: string, allotment: Allotment, signal?: AbortSignal): Promise<Machine> => {
  const publish: PublishedPort = { hostPort: await freePort(allotment), machinePort, protocol: 'tcp' };
  const made = await retryWhileImageIsMade(() =>
    client.machineCreate({ name, image: 'node', resources: { diskMib }, publish: [publish], start: false }, { wait: jobWaitSeconds, signal }),
  );
  const { id } = machineOf(made);
  await client.filesPut(id, '/app', packDirectory(sample), { signal });
  return machineOf(await client.machineStart(id, { wait: jobWaitSeconds, signal }));
};

/** An agent that has just started may still be making its built-in images. */
const retryWhileImageIsMade = async <Result>(ask: () => Promise<Result>): Promise<Result> => {
  for (const deadline = Date.now() + imageTimeoutMs; ; await sleep(200)) {
    try {
      return await ask();
    } catch (error) {
      const absent = error instanceof CenoteError && (error.code === 'not_found' || error.code === 'unavailable');
      if (!absent || Date.now() > deadline) throw error;
    }
  }
};

const machineOf = (accepted: Awaited<ReturnType<ControlClient['machineStart']>>): Machine => {
  const { job, machine } = accepted;
  if (job.state === 'failed') throw new CenoteError('failed', `machine "${name}": ${job.action} failed: ${job.reason ?? 'no reason given'}`);
  if (job.state !== 'succeeded' || machine === null)
    throw new CenoteError('timeout', `machine "${name}": ${job.action} is still ${job.state} after ${jobWaitSeconds} s`);
  return machine;
};

/** Plain files of a directory that is our own; nothing else is in it. */
const packDirectory = (directory: string): Readable => {
  const archive = pack();
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) archive.entry({ name: path.slice(directory.length + 1), mode: 0o644, mtime: new Date() }, readFileSync(path));
  }
  archive.finalize();
  return Readable.from(archive);
};

export const freePort = async (allotment: Pick<Allotment, 'portHolder'>, first = firstHostPort): Promise<number> => {
  for (let hostPort = first; hostPort < first + portsTried; hostPort += 1)
    if (allotment.portHolder({ hostPort, protocol: 'tcp' }) === null && (await canListen(hostPort))) return hostPort;
  throw new CenoteError('in_use', `every port from ${first} to ${first + portsTried - 1} of this host is in use`, {
    advice: 'create the first machine by hand: cenote create hello --image node --code examples/hello --publish PORT:80',
  });
};

const canListen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '0.0.0.0' }, () => server.close(() => resolve(true)));
  });

const answers = async (url: string, signal?: AbortSignal): Promise<void> => {
  for (const deadline = Date.now() + answerTimeoutMs; ; await sleep(5)) {
    signal?.throwIfAborted();
    try {
      return await request(url);
    } catch (error) {
      if (Date.now() > deadline)
        throw new CenoteError('timeout', `${url} does not answer: ${messageOf(error)}`, { advice: `see what it said: cenote logs ${name}` });
    }
  }
};

const request = (url: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const outgoing = get(url.replace('localhost', '127.0.0.1'), { agent: false, timeout: 2000 }, (response) => {
      response.resume();
      response.on('error', reject);
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`))));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in 2 s')));
    outgoing.on('error', reject);
  });
