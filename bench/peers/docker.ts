/** Docker from Debian: a daemon of its own with its own data and bridge, once through its command and once through its API. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, start } from '../../src/exec/run.ts';
import { idleCommand, startMemoryMib } from './peer.ts';
import type { Peer, PeerPlace } from './peer.ts';

const program = '/usr/bin/docker';
const readyTimeoutMs = 60_000;

export const openDocker = async (place: PeerPlace): Promise<Peer[]> => {
  const directory = join(place.directory, 'docker');
  mkdirSync(directory, { recursive: true });
  const socket = join(directory, 'docker.sock');
  const log = openSync(join(directory, 'log'), 'a');
  const args = [
    '--data-root',
    join(directory, 'data'),
    '--exec-root',
    join(directory, 'exec'),
    '--pidfile',
    join(directory, 'pid'),
    '--host',
    `unix://${socket}`,
  ];
  const daemon = start('/usr/sbin/dockerd', args, { stdio: ['ignore', log, log] });
  const docker = (...words: string[]) => run(program, ['--host', `unix://${socket}`, ...words], { timeoutMs: readyTimeoutMs });
  const close = () => endDaemon(daemon);
  try {
    for (const deadline = Date.now() + readyTimeoutMs; ; await sleep(200)) {
      if (daemon.exitCode !== null) throw new Error(`dockerd ended with code ${daemon.exitCode}; see ${join(directory, 'log')}`);
      try {
        await docker('version', '--format', '{{.Server.Version}}');
        break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
    await docker('import', place.rootTar, 'idle:1');
    const version = `Docker ${(await docker('version', '--format', '{{.Server.Version}}')).trim()}`;
    const call = (method: string, path: string, body?: unknown) => callApi(socket, method, path, body);
    const [memory, none] = [(mib: number) => mib * 2 ** 20, { [Symbol.asyncDispose]: async () => {} }];
    return [
      {
        name: 'Docker',
        version,
        start: async (id) => void (await docker('run', '--detach', '--name', id, '--memory', `${startMemoryMib}m`, 'idle:1', ...idleCommand)),
        update: async (id, mib) => void (await docker('update', '--memory', `${mib}m`, '--memory-swap', `${mib * 2}m`, id)),
        remove: async (id) => void (await docker('rm', '--force', id)),
        ...none,
      },
      {
        name: 'Docker (API)',
        version,
        start: async (id) => {
          await call('POST', `/containers/create?name=${id}`, { Image: 'idle:1', Cmd: idleCommand, HostConfig: { Memory: memory(startMemoryMib) } });
          await call('POST', `/containers/${id}/start`);
        },
        update: (id, mib) => call('POST', `/containers/${id}/update`, { Memory: memory(mib), MemorySwap: memory(mib * 2) }),
        remove: (id) => call('DELETE', `/containers/${id}?force=1`),
        [Symbol.asyncDispose]: close,
      },
    ];
  } catch (error) {
    await close();
    throw error;
  }
};

const endDaemon = async (daemon: ChildProcess): Promise<void> => {
  if (daemon.exitCode !== null) return;
  const ended = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill('SIGTERM');
  const killer = setTimeout(() => daemon.kill('SIGKILL'), 20_000);
  await ended;
  clearTimeout(killer);
};

const callApi = (socketPath: string, method: string, path: string, body?: unknown): Promise<void> =>
  new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path: `/v1.41${path}`, headers: { 'content-type': 'application/json' } }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
      response.on('end', () => (response.statusCode! < 300 ? resolve() : reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`))));
    });
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
