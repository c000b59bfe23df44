/** Copying into and out of a machine's root, running or not. The archive code confines what is copied; here is only where. */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import type { Confinement } from '../../host/archive/archive.ts';
import type { Machine } from './machine.ts';
import { mountWritable } from './run.ts';

const maxEntries = 2_000_000;
/** Who copies has the machine's turn: one who has gone to sleep would keep everybody else from it, a stop and a delete too. */
const longestStillMs = 60_000;

export const copyIn = (machine: Machine, path: string, source: Readable, signal: AbortSignal): Promise<void> =>
  machine.turn(() => unpackInto(machine, path, source, signal));

/** Within a turn. A source that was given up is left as it is: it is a request, and will be answered. */
export const unpackInto = (machine: Machine, path: string, source: Readable, signal: AbortSignal): Promise<void> =>
  withRoot(machine, async (root) => {
    const { host, spec } = machine;
    using moving = whileMoving(source);
    // The quota holds what the count does not.
    const limits = { maxEntries, maxBytes: spec.resources.diskMib * 2 ** 20 };
    const unpacked = host.archiver.unpack(source, { ...root, path }, limits, AbortSignal.any([signal, moving.signal]));
    await Promise.race([unpacked, moving.ceased]);
    await host.storage.commit();
  });

/** The stream's whole life is inside the machine's turn, so that its root stays; `send` may take longer. */
export const copyOut = async (machine: Machine, path: string, send: (archive: Readable) => Promise<void>, signal: AbortSignal): Promise<void> => {
  let sending: Promise<void> | undefined;
  await machine.turn(() =>
    withRoot(machine, async (root) => {
      const given = new AbortController();
      const archive = await machine.host.archiver.pack({ ...root, path }, AbortSignal.any([signal, given.signal]));
      const closed = once(archive, 'close').catch(() => {}); // a failure is told to `send`
      using moving = whileMoving(archive);
      moving.ceased.catch((why: unknown) => {
        given.abort(why);
        archive.destroy(why as Error);
      });
      sending = send(archive);
      await Promise.race([sending, closed]);
    }),
  );
  await sending;
};

interface Moving extends Disposable {
  /** Rejects when nothing of the stream has moved for so long. */
  ceased: Promise<never>;
  signal: AbortSignal;
}

const whileMoving = (stream: Readable): Moving => {
  const { promise: ceased, reject } = Promise.withResolvers<never>();
  ceased.catch(() => {}); // where nobody waits for it
  const given = new AbortController();
  const cease = (): void => {
    const why = new CenoteError('timeout', `nothing of the copy moved for ${longestStillMs / 1000} s, and the machine was not to be had meanwhile`);
    given.abort(why);
    reject(why);
  };
  let timer = setTimeout(cease, longestStillMs);
  const moved = (): void => {
    clearTimeout(timer);
    timer = setTimeout(cease, longestStillMs);
  };
  // Heard besides whoever reads: it must not begin to flow for this.
  stream.pause().on('data', moved);
  return {
    ceased,
    signal: given.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      stream.off('data', moved);
    },
  };
};

/** For making an image: the root as host paths, its ids as on disk. */
export const withPlainRoot = <T>(machine: Machine, use: (directory: string) => Promise<T>): Promise<T> =>
  machine.turn(async () => {
    const { host, id, spec, run } = machine;
    // Whatever of this fails, it goes on again.
    await using undo = new AsyncDisposableStack();
    if (run !== null) {
      // A running machine stands still, so that the copy is of one moment.
      await host.storage.commit();
      undo.defer(() => host.cgroups.thaw(id));
      await host.cgroups.freeze(id);
    }
    const target = join(host.runDirectory, 'copies', id);
    const parts = await host.platforms.rootParts(spec.image, spec.platform);
    undo.defer(() => host.roots.unmount(target));
    await host.roots.mount({ target, lowers: parts.lowers, usr: null, volume: host.storage.volumePath(id), idmapFd: null });
    return await use(target);
  });

const withRoot = async <T>(machine: Machine, use: (root: Omit<Confinement, 'path'>) => Promise<T>): Promise<T> => {
  const { host, run } = machine;
  if (run !== null) return use({ root: `/proc/${run.process.pid}/root`, userNamespace: `/proc/${run.process.pid}/ns/user` });
  await using undo = new AsyncDisposableStack();
  const sandbox = await host.sandboxes.take('external');
  undo.defer(async () => {
    await host.network.disconnect(sandbox.slot);
    host.sandboxes.started(sandbox);
    host.sandboxes.release(sandbox.slot);
  });
  const target = join(host.runDirectory, 'copies', machine.id);
  const parts = await host.platforms.rootParts(machine.spec.image, machine.spec.platform);
  undo.defer(() => host.roots.unmount(target)); // also what is mounted and refused
  await mountWritable(host, machine.id, {
    target,
    lowers: parts.lowers,
    usr: parts.usr,
    volume: host.storage.volumePath(machine.id),
    idmapFd: sandbox.idmapFd,
  });
  return await use({ root: target, userNamespace: sandbox.userNamespace });
};
