/**
 * The disk of a virtual host, which outlives its power losses. Each boot writes to a new qcow2 layer above those before.
 *
 * The guest sees a disk with a volatile write cache: what it wrote but did not flush may be lost, in any order. A new layer makes that
 * so: where a newly written cluster lies is known only to qemu's memory until the guest flushes, so killing qemu loses it, while
 * what was flushed is in the layer's file. That file need not be synced here, for this host does not lose its power: `cache=unsafe`
 * writes the layer's map at each flush all the same, and leaves out only the fsync.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/exec/run.ts';

export interface VirtualDisk extends AsyncDisposable {
  /** For sockets and logs, and for tests' own files about this disk. */
  directory: string;
  /** The path of a new top layer. */
  newLayer(): Promise<string>;
}

export const createVirtualDisk = async (base: string): Promise<VirtualDisk> => {
  const directory = await mkdtemp(join(tmpdir(), 'virtual-host-'));
  let top = { path: base, format: 'raw' };
  let layers = 0;
  return {
    directory,
    newLayer: async () => {
      const path = join(directory, `layer-${(layers += 1)}.qcow2`);
      await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', top.path, '-F', top.format, path]);
      top = { path, format: 'qcow2' };
      return path;
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
};
