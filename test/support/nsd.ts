/** A secondary of other people's make: NSD from Debian's package, on a loopback address of its own, with all its files in a temporary directory. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { plainEnvironment } from '../../src/exec/run.ts';

const programs = ['/usr/sbin/nsd', '/usr/bin/dig'];

/** Why tests with it are left out, or false. */
export const nsdSkip = (): string | false => {
  const missing = programs.filter((path) => !existsSync(path));
  return missing.length > 0 ? `${missing.join(', ')} not installed: apt-get install nsd bind9-dnsutils` : false;
};

export interface NsdOptions {
  address: string;
  port: number;
  primary: { address: string; port: number };
  zones: readonly string[];
}

/** A port that nobody has on the address at this moment. */
export const freePort = async (address: string): Promise<number> => {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, address, resolve));
  const { port } = socket.address();
  socket.close();
  return port;
};

export const startNsd = async ({ address, port, primary, zones }: NsdOptions): Promise<AsyncDisposable> => {
  const directory = await mkdtemp(join(tmpdir(), 'cenote-nsd-'));
  const server = `server:
  ip-address: ${address}@${port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "${directory}"
  pidfile: "${directory}/nsd.pid"
  zonelistfile: "${directory}/zone.list"
  xfrdfile: "${directory}/xfrd.state"
  xfrdir: "${directory}"
  database: ""
  xfrd-reload-timeout: 0
remote-control:
  control-enable: no
`;
  const zone = (name: string) => `zone:
  name: "${name}"
  zonefile: "${name}.zone"
  request-xfr: AXFR ${primary.address}@${primary.port} NOKEY
  allow-notify: ${primary.address} NOKEY
  outgoing-interface: ${address}
`;
  await writeFile(join(directory, 'nsd.conf'), server + zones.map(zone).join(''));
  const child = spawn('/usr/sbin/nsd', ['-d', '-c', join(directory, 'nsd.conf')], { stdio: ['ignore', 'ignore', 'pipe'], env: plainEnvironment });
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += String(data)));
  const started = new Promise<void>((resolve, reject) => {
    child.stderr.on('data', () => said.includes('nsd started') && resolve());
    child.once('exit', (code) => reject(new Error(`nsd ended with ${code}: ${said}`)));
  });
  await started;
  return {
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
};
