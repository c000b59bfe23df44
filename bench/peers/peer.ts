/** What is measured of a container engine: the same idle program on the same root, started, changed and removed in the engine's own way. */
import { mkdirSync, symlinkSync, copyFileSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/exec/run.ts';

export interface Peer extends AsyncDisposable {
  readonly name: string;
  readonly version: string;
  /** Answers when it runs. */
  start(id: string): Promise<void>;
  /** Another memory limit while it runs. */
  update(id: string, memoryMib: number): Promise<void>;
  /** Whatever it does; nothing is left. */
  remove(id: string): Promise<void>;
}

export interface PeerPlace {
  /** For the engine's files; on the same disk for all. */
  directory: string;
  /** The root file system, as a tree and as a tar file. */
  rootTree: string;
  rootTar: string;
}

export const idleCommand = ['/bin/busybox', 'sleep', '86413'] as const;
export const startMemoryMib = 256;

/** One static program: what an engine adds to it is the engine's own. */
export const makeRoot = async (directory: string): Promise<Pick<PeerPlace, 'rootTree' | 'rootTar'>> => {
  const rootTree = join(directory, 'root');
  for (const name of ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'var', 'root']) mkdirSync(join(rootTree, name), { recursive: true });
  copyFileSync('/bin/busybox', join(rootTree, 'bin/busybox'));
  chmodSync(join(rootTree, 'bin/busybox'), 0o755);
  for (const name of ['sh', 'sleep', 'true']) symlinkSync('busybox', join(rootTree, 'bin', name));
  const rootTar = join(directory, 'root.tar');
  await run('tar', ['--create', '--file', rootTar, '--directory', rootTree, '.']);
  return { rootTree, rootTar };
};
