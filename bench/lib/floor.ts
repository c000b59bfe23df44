/**
 * The floor: what the runtime alone takes, without anything of ours, on a root prepared beforehand. Three of them: `crun run` of `true` with
 * nothing asked of it; crun with our own whole specification and fresh namespaces; and the same under conmon, which is what a machine is.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { run } from '../../src/exec/run.ts';
import { openRuntime } from '../../src/host/runtime/crun.ts';
import { defaultProfilePath, loadSeccomp } from '../../src/host/runtime/seccomp.ts';
import { capabilities, machineSpecification, maskedDirectories } from '../../src/host/runtime/specification.ts';
import { openSandboxes } from '../../src/host/sandbox/pool.ts';
import type { Sandbox } from '../../src/host/sandbox/sandbox.ts';
import { removeGroup } from '../../src/host/cgroup/files.ts';
import { detectLayout, treesOf } from '../../src/host/cgroup/layout.ts';
import { mountFlags, mountFs, unmount, unmountFlags } from '../../src/sys/mount.ts';
import { timed } from './measure.ts';

export interface Floor extends AsyncDisposable {
  /** `crun run` of `true`: host network, few namespaces, no limits, no filter. */
  bareRun(): Promise<number>;
  /** `crun create` and `crun start` of our specification, as programs. */
  crunWhole(): Promise<number>;
  /** conmon with `crun create`, then the start, as the agent does it. */
  conmonWhole(): Promise<number>;
}

const idle = ['/bin/sh', '-c', 'exec sleep infinity'];
/** Just past the last block that instances are given. */
const uidBlock = 0x7000_0000;
const silent = pino({ level: 'silent' });

/** Names that no agent gives. */
const cgroupParent = '/cenote-benchfloor';

export const openFloor = async (): Promise<Floor> => {
  const directory = mkdtempSync(join(tmpdir(), 'bench-floor-'));
  // The runtime walks here as a machine's root user, who is nobody on the host.
  chmodSync(directory, 0o711);
  const root = join(directory, 'root');
  makeRoot(root);
  // Whatever fails from here on, nothing of it stays.
  await using undo = new AsyncDisposableStack();
  undo.defer(() => {
    unmount(join(root, 'usr'), unmountFlags.detach);
    rmSync(directory, { recursive: true, force: true });
  });
  const noNetwork = { prepare: async () => {}, disconnect: async () => {} } as never;
  const sandboxes = undo.adopt(
    openSandboxes({
      uidBlocks: [uidBlock],
      claimBlock: () => Promise.reject(new Error('the floor uses no second block')),
      network: noNetwork,
      size: 4,
      logger: silent,
    }),
    (opened) => opened.close(),
  );
  const runtime = undo.adopt(
    openRuntime({
      runDirectory: join(directory, 'run'),
      logDirectory: join(directory, 'logs'),
      seccomp: loadSeccomp(defaultProfilePath, capabilities),
      admitMonitor: () => Promise.resolve(),
      logger: silent,
    }),
    (opened) => opened.close(),
  );
  undo.defer(removeGroups);
  let count = 0;

  mkdirSync(join(directory, 'empty'));
  const specificationFor = (id: string, sandbox: Sandbox) =>
    machineSpecification({
      hostname: id,
      root,
      args: idle,
      env: ['PATH=/usr/sbin:/usr/bin'],
      cwd: '/',
      user: { uid: 0, gid: 0, additionalGids: [] },
      noNewPrivileges: true,
      oomScoreAdj: 200,
      userNamespace: sandbox.userNamespace,
      networkNamespace: sandbox.networkNamespace,
      cgroupsPath: `${cgroupParent}/${id}`,
      masked: maskedDirectories.filter((path) => existsSync(path)),
      empty: join(directory, 'empty'),
      files: Object.fromEntries(['hostname', 'hosts', 'resolv.conf'].map((name) => [`/etc/${name}`, join(root, 'etc', name)])),
      lxcfs: null,
    });

  const withSandbox = async (measure: (id: string, sandbox: Sandbox) => Promise<number>): Promise<number> => {
    const sandbox = await sandboxes.take('external');
    const id = `floor-${process.pid}-${++count}`;
    try {
      return await measure(id, sandbox);
    } finally {
      sandboxes.started(sandbox);
      sandboxes.release(sandbox.slot);
    }
  };

  const held = undo.move();
  return {
    bareRun: async () => {
      const bundle = join(directory, 'bare');
      mkdirSync(bundle, { recursive: true });
      writeFileSync(join(bundle, 'config.json'), JSON.stringify(bareSpecification(root)));
      return timed(() =>
        run('crun', ['--cgroup-manager=disabled', '--root', join(directory, 'state'), 'run', '--bundle', bundle, `bare-${process.pid}-${++count}`]),
      );
    },
    crunWhole: () =>
      withSandbox(async (id, sandbox) => {
        const bundle = join(directory, id);
        mkdirSync(bundle);
        writeFileSync(join(bundle, 'config.json'), JSON.stringify(specificationFor(id, sandbox)));
        const crun = (...args: string[]) => run('crun', ['--root', join(directory, 'state'), ...args]);
        const taken = await timed(async () => {
          // Its own output would keep our pipes open as long as it lives.
          await run('/bin/sh', [
            '-c',
            'exec "$@" >/dev/null 2>&1 </dev/null',
            'sh',
            'crun',
            '--root',
            join(directory, 'state'),
            'create',
            '--bundle',
            bundle,
            id,
          ]);
          await crun('start', id);
        });
        await crun('delete', '--force', id);
        return taken;
      }),
    conmonWhole: () =>
      withSandbox(async (id, sandbox) => {
        let pid = 0;
        const taken = await timed(async () => {
          ({ pid } = await runtime.create({ machine: id, logLimitMib: 1, specification: specificationFor(id, sandbox) }));
          await runtime.start(id);
        });
        process.kill(pid, 'SIGKILL');
        await runtime.remove(id);
        await runtime.forget(id);
        return taken;
      }),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
};

const removeGroups = async (): Promise<void> => {
  const trees = treesOf(detectLayout());
  for (let round = 0; round < 50; round += 1) {
    if (trees.every((tree) => removeGroup(join(tree, cgroupParent)))) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** Everything a specification mounts upon is there: the machine's root user is nobody here and could not make it. */
const makeRoot = (root: string): void => {
  for (const name of ['proc', 'sys', 'dev', 'run', 'tmp', 'etc', 'usr']) mkdirSync(join(root, name), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(root, name));
  for (const name of ['hostname', 'hosts', 'resolv.conf']) writeFileSync(join(root, 'etc', name), '');
  mountFs('/usr', join(root, 'usr'), null, mountFlags.bind, null);
};

const bareSpecification = (root: string) => ({
  ociVersion: '1.0.0',
  process: { terminal: false, user: { uid: 0, gid: 0 }, args: ['/bin/true'], env: ['PATH=/usr/bin'], cwd: '/' },
  root: { path: root },
  mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
  linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }] },
});
