/**
 * The code that services run: the checkout itself where the control plane's user can read it, else a copy in the root directory
 * (a checkout below /root, say). The fingerprint tells whether what runs is what is there now.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from '../exec/run.ts';

const othersMayRead = 0o004;
const othersMayPass = 0o001;

export const codeFingerprint = (checkout: string): string => {
  const hash = createHash('sha256');
  const add = (path: string): void => {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path.slice(checkout.length)} ${size} ${mtimeMs}\n`);
  };
  for (const entry of readdirSync(join(checkout, 'src'), { recursive: true, withFileTypes: true }).sort((a, b) =>
    join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1,
  ))
    if (entry.isFile() && !entry.name.endsWith('.test.ts')) add(join(entry.parentPath, entry.name));
  add(join(checkout, 'package-lock.json'));
  return hash.digest('hex').slice(0, 16);
};

/** Whether everyone may read `path` and pass through all directories above it. */
export const readableByAll = (path: string): boolean => {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || (found.mode & othersMayRead) === 0 || (found.isDirectory() && (found.mode & othersMayPass) === 0)) return false;
  for (let at = dirname(path); ; at = dirname(at)) {
    if ((statSync(at).mode & othersMayPass) === 0) return false;
    if (at === '/') return true;
  }
};

export interface PlacedCode {
  codePath: string;
  nodePath: string;
  copied: boolean;
}

export const placeCode = async (checkout: string, root: string, nodePath: string): Promise<PlacedCode> => {
  const samples = ['package.json', 'src', 'src/base/errors.ts', 'node_modules', 'node_modules/fastify/package.json'].map((path) => join(checkout, path));
  if ([...samples, nodePath].every(readableByAll)) return { codePath: checkout, nodePath, copied: false };
  const codePath = `${root}/code`;
  const inside = nodePath.startsWith(`${checkout}/`) ? codePath + nodePath.slice(checkout.length) : `${codePath}/node`;
  const stamp = `${codePath}/fingerprint`;
  const fingerprint = codeFingerprint(checkout);
  if (readIfThere(stamp) === fingerprint) return { codePath, nodePath: inside, copied: true };
  const staged = `${root}/code.new`;
  rmSync(staged, { recursive: true, force: true });
  mkdirSync(`${staged}/node_modules`, { recursive: true, mode: 0o755 });
  await run('cp', ['-R', '--reflink=auto', `${checkout}/package.json`, `${checkout}/package-lock.json`, `${checkout}/src`, `${checkout}/examples`, staged], {
    timeoutMs: 300_000,
  });
  for (const path of neededModules(checkout)) {
    mkdirSync(dirname(`${staged}/${path}`), { recursive: true });
    await run('cp', ['-R', '--reflink=auto', `${checkout}/${path}`, `${staged}/${path}`], { timeoutMs: 300_000 });
  }
  if (!nodePath.startsWith(`${checkout}/`)) await run('cp', ['--reflink=auto', nodePath, `${staged}/node`]);
  await run('chmod', ['-R', 'go-w,a+rX', staged]);
  writeFileSync(`${staged}/fingerprint`, fingerprint);
  rmSync(codePath, { recursive: true, force: true });
  renameSync(staged, codePath);
  chmodSync(codePath, 0o755);
  return { codePath, nodePath: inside, copied: true };
};

/** Paths of installed packages that services need, from the lockfile: nothing that only development does. */
export const neededModules = (checkout: string): string[] => {
  const { packages } = JSON.parse(readFileSync(`${checkout}/package-lock.json`, 'utf8')) as { packages: Record<string, { dev?: boolean }> };
  const paths = Object.entries(packages).flatMap(([path, { dev }]) =>
    path.startsWith('node_modules/') && dev !== true && statSync(join(checkout, path), { throwIfNoEntry: false }) !== undefined ? [path] : [],
  );
  // What is nested in a package comes with it.
  return paths.filter((path) => !paths.some((other) => path.startsWith(`${other}/`)));
};

const readIfThere = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};
