/** The images every installation has: `base`, nothing but the platform, and `node`, the Node this project itself runs on. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, cp, mkdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { run, runAny } from '../../exec/run.ts';
import type { ImageConfig } from '../../model/image.ts';

export interface BuiltInImage {
  id: string;
  name: string;
  /** Of its content and configuration: another one means another tree. */
  hash: string;
  config: ImageConfig;
  empty: boolean;
  fill(root: string): Promise<void>;
}

const plainPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** The same on every host, so that a datacenter knows them by one id. */
const idOf = (name: string): string => {
  const digits = createHash('sha256').update(`cenote built-in image ${name}`).digest('hex');
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-8${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
};
const hashOf = (...facts: unknown[]): string => createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);

/** Without a command a machine of `base` waits, for `exec`; as the first process it also answers a stop at once and reaps. */
const idle = ['/bin/sh', '-c', "trap 'exit 0' TERM INT; while :; do sleep infinity & wait $!; done"];

const base = (): BuiltInImage => {
  const config: ImageConfig = { Cmd: idle, Env: [`PATH=${plainPath}`], WorkingDir: '/' };
  return { id: idOf('base'), name: 'base', hash: hashOf(config), config, empty: true, fill: async () => {} };
};

/** Every Debian-like platform has these; carrying them would only put older ones before newer ones. */
const everywhere = /^(linux-vdso|ld-linux|ld-musl|libc\.|libm\.|libdl\.|libpthread\.|librt\.|libstdc\+\+\.|libgcc_s\.|\/lib)/;

const node = async (nodePath: string): Promise<BuiltInImage> => {
  const program = await realpath(nodePath);
  const { size, mtimeMs } = await stat(program);
  const libraries = await librariesOf(program);
  const npm = await npmBeside(program);
  const config: ImageConfig = {
    Cmd: ['node', '.'],
    Env: [`PATH=/opt/node/bin:${plainPath}`, ...(libraries.length === 0 ? [] : ['LD_LIBRARY_PATH=/opt/node/lib'])],
    WorkingDir: '/app',
  };
  const fill = async (root: string) => {
    const [bin, lib] = [join(root, 'opt/node/bin'), join(root, 'opt/node/lib')];
    await mkdir(bin, { recursive: true });
    await mkdir(lib, { recursive: true });
    await mkdir(join(root, 'app'));
    await copyFile(program, join(bin, 'node'), constants.COPYFILE_FICLONE);
    await chmod(join(bin, 'node'), 0o755);
    for (const library of libraries) await copyFile(await realpath(library), join(lib, basename(library)));
    if (npm !== null) {
      await cp(npm, join(lib, 'node_modules/npm'), { recursive: true });
      for (const name of ['npm', 'npx']) await run('ln', ['-s', `../lib/node_modules/npm/bin/${name}-cli.js`, join(bin, name)]);
    }
  };
  return { id: idOf('node'), name: 'node', hash: hashOf(config, program, size, mtimeMs, libraries, npm), config, empty: false, fill };
};

/** Shared libraries a small platform may lack (libatomic, for the builds from the npm registry). */
const librariesOf = async (program: string): Promise<string[]> => {
  const { stdout } = await runAny('ldd', ['--', program]);
  return [...stdout.matchAll(/^\s*(\S+) => (\/\S+)/gm)].filter(([, name]) => !everywhere.test(name!)).map(([, , path]) => path!);
};

const npmBeside = async (program: string): Promise<string | null> => {
  const path = join(dirname(program), '../lib/node_modules/npm');
  const isNpm = await readFile(join(path, 'package.json'), 'utf8').then(
    (text) => text.includes('"npm"'),
    () => false,
  );
  return isNpm ? realpath(path) : null;
};

export const builtInImages = async (nodePath: string): Promise<BuiltInImage[]> => [base(), await node(nodePath)];
