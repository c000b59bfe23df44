/** Virtual hosts are slow and large, so tests that start one wait for each other, whichever process they are in. */
import { arch } from 'node:os';
import { installed, runAny } from '../../src/exec/run.ts';
import { lockFile } from '../../src/sys/flock.ts';
import { missingHostPackages } from './image.ts';
import { kernelMetapackage } from './kernel.ts';

const lockPath = '/run/cenote-virtual-host.lock';
const patienceMs = 60 * 60_000;
const updateTimeoutMs = 10 * 60_000;

const whyNot = async (): Promise<string | false> => {
  if (process.getuid?.() !== 0) return 'needs root';
  if (arch() !== 'x64') return 'the recipe is for x86-64';
  if (!(await installed('apt-cache'))) return 'needs apt';
  const wanted = [...(await missingHostPackages()), kernelMetapackage];
  const unknown = async (): Promise<string[]> => {
    const known = await Promise.all(wanted.map(async (name) => (await runAny('apt-cache', ['show', name])).code === 0));
    return wanted.filter((_, index) => !known[index]);
  };
  if ((await unknown()).length > 0) await runAny('apt-get', ['update', '-q'], { timeoutMs: updateTimeoutMs });
  const never = await unknown();
  return never.length > 0 ? `apt has no ${never.join(', ')}` : false;
};

/** Why there can be none here; false where there can. */
export const skipVirtualHost = await whyNot();

export const lockVirtualHosts = async (): Promise<AsyncDisposable> => {
  const lock = await lockFile(lockPath, { timeoutMs: patienceMs });
  return { [Symbol.asyncDispose]: () => Promise.resolve(lock[Symbol.dispose]()) };
};
