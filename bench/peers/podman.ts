/** Podman from Debian, with crun as Debian sets it: on its bridge, and with no network at all, which is as fast as it gets. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/exec/run.ts';
import { idleCommand, startMemoryMib } from './peer.ts';
import type { Peer, PeerPlace } from './peer.ts';

const timeoutMs = 60_000;

export const openPodman = async (place: PeerPlace): Promise<Peer[]> => {
  const directory = join(place.directory, 'podman');
  mkdirSync(directory, { recursive: true });
  const own = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--tmpdir', join(directory, 'tmp')];
  own.push(
    '--cgroup-manager',
    'cgroupfs',
    '--events-backend',
    'file',
    '--runtime',
    'crun',
    '--network-config-dir',
    join(directory, 'networks'),
    '--storage-driver',
    'overlay',
  );
  const podman = (...words: string[]) => run('/usr/bin/podman', [...own, ...words], { timeoutMs });
  await podman('import', place.rootTar, 'idle:1');
  const version = `Podman ${(await podman('version', '--format', '{{.Client.Version}}')).trim()}`;
  const peer = (name: string, network: string): Peer => ({
    name,
    version,
    start: async (id) =>
      void (await podman('run', '--detach', '--name', id, '--network', network, '--memory', `${startMemoryMib}m`, 'localhost/idle:1', ...idleCommand)),
    update: async (id, mib) => void (await podman('update', '--memory', `${mib}m`, id)),
    remove: async (id) => void (await podman('rm', '--force', '--time', '0', id)),
    [Symbol.asyncDispose]: async () => {},
  });
  return [peer('Podman', 'bridge'), peer('Podman, no network', 'none')];
};
