/** LXC from Debian: a container is its configuration and an overlay on the shared root, with a veth on a bridge; addresses are not given out. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/exec/run.ts';
import { idleCommand, startMemoryMib } from './peer.ts';
import type { Peer, PeerPlace } from './peer.ts';

const bridge = 'benchlxc0';
const timeoutMs = 60_000;

export const openLxc = async (place: PeerPlace): Promise<Peer[]> => {
  const directory = join(place.directory, 'lxc');
  mkdirSync(directory, { recursive: true });
  await run('ip', ['link', 'add', bridge, 'type', 'bridge']);
  await run('ip', ['link', 'set', bridge, 'up']);
  const lxc = (program: string, id: string, ...words: string[]) =>
    run(`/usr/bin/lxc-${program}`, ['--lxcpath', directory, '--name', id, ...words], { timeoutMs });
  const version = `LXC ${(await run('/usr/bin/lxc-start', ['--version'])).trim()}`;
  return [
    {
      name: 'LXC',
      version,
      start: async (id) => {
        const own = join(directory, id);
        for (const name of ['upper', 'rootfs']) mkdirSync(join(own, name), { recursive: true });
        writeFileSync(join(own, 'config'), configuration(id, place.rootTree, own));
        // Its output would keep our pipes open as long as it runs.
        await run(
          '/bin/sh',
          [
            '-c',
            'exec "$@" >/dev/null 2>&1 </dev/null',
            'sh',
            '/usr/bin/lxc-start',
            '--lxcpath',
            directory,
            '--name',
            id,
            '--daemon',
            '--logfile',
            join(own, 'log'),
          ],
          { timeoutMs },
        );
      },
      update: async (id, mib) => void (await lxc('cgroup', id, 'memory.limit_in_bytes', `${mib}M`)),
      remove: async (id) => {
        await lxc('stop', id, '--kill');
        rmSync(join(directory, id), { recursive: true, force: true });
      },
      [Symbol.asyncDispose]: async () => {
        await run('ip', ['link', 'delete', bridge]);
      },
    },
  ];
};

const configuration = (id: string, rootTree: string, own: string): string =>
  [
    'lxc.include = /usr/share/lxc/config/common.conf',
    `lxc.rootfs.path = overlay:${rootTree}:${join(own, 'upper')}`,
    `lxc.uts.name = ${id}`,
    `lxc.init.cmd = ${idleCommand.join(' ')}`,
    'lxc.net.0.type = veth',
    `lxc.net.0.link = ${bridge}`,
    'lxc.net.0.flags = up',
    `lxc.cgroup.memory.limit_in_bytes = ${startMemoryMib}M`,
    'lxc.apparmor.profile = unconfined',
    '',
  ].join('\n');
