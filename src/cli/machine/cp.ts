/** Copies both ways, as tar streams made and read here: no path of this host goes to the API. */
import { mkdir, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { CenoteError, invalid } from '../../base/errors.ts';
import { formatMib, mibOfBytes } from '../../base/units.ts';
import type { Machine } from '../../model/control-api.ts';
import { defineCommand, some } from '../command.ts';
import type { Context } from '../context.ts';
import { plural } from '../format.ts';
import { selectMachine } from '../select.ts';
import { whyNot } from '../why-not.ts';

export interface Remote {
  machine: string;
  path: string;
}

/** `NAME:/path`; a word with a `/` before the colon is a file of this host. */
export const parseRemote = (word: string): Remote | undefined => {
  const colon = word.indexOf(':');
  const slash = word.indexOf('/');
  if (colon < 1 || (slash >= 0 && slash < colon)) return undefined;
  const path = word.slice(colon + 1);
  if (!path.startsWith('/')) throw invalid(word, 'a path in a machine begins with /', `write ${word.slice(0, colon)}:/${path}`);
  if (path.includes('\0') || path.split('/').includes('..')) throw invalid(word, 'a path in a machine has no ..');
  return { machine: word.slice(0, colon), path };
};

export const command = defineCommand({
  detail:
    'Into a directory that is there (or a path that ends in /) files go under their own names; otherwise the last part of DST is the new name. DIR/. means its contents. Where DST is -, it is a tar stream on standard output.',
  args: { paths: some('SRC… DST', 'machine path') },
  flags: {},
  examples: [
    'cp site.conf web:/etc/nginx/',
    'cp ./public/. web:/srv/www',
    'cp web:/var/log/app.log .',
    'cp web:/app ./app-copy',
    'cp web:/etc/hostname - | tar -xO',
  ],
  run: async ({ args, flags }, context) => {
    const target = args.paths.at(-1)!;
    const sources = args.paths.slice(0, -1);
    if (sources.includes('-'))
      throw invalid('SRC', 'standard input is not read', `a tar stream is unpacked with: cenote exec -i NAME -- tar -x -C ${JSON.stringify('/path')}`);
    if (sources.length === 0) throw new CenoteError('invalid_argument', 'DST is missing', { advice: 'see the usage with --help' });
    const to = parseRemote(target);
    const from = sources.map(parseRemote);
    if (to !== undefined && from.some((each) => each !== undefined))
      throw new CenoteError('invalid_argument', 'copying from machine to machine is not offered', { advice: 'copy to this host first' });
    if (to === undefined && from.length !== 1)
      throw new CenoteError('invalid_argument', `${plural(from.length, 'source')}: out of a machine one path at a time is copied`);
    if (to !== undefined) return upload(context, sources, to, flags.json);
    if (from[0] === undefined)
      throw new CenoteError('invalid_argument', 'neither SRC nor DST is in a machine', { advice: 'write NAME:/path for a path in a machine' });
    return target === '-' ? show(context, from[0], flags.json) : download(context, from[0], target, flags.json);
  },
});

const upload = async (context: Context, paths: readonly string[], to: Remote, json: boolean): Promise<void> => {
  const { packFiles, sourceOf } = await import('../archive/pack.ts');
  const sources = await Promise.all(paths.map(sourceOf));
  const machine = await selectMachine(context, to.machine);
  let { path } = to;
  const contents = sources.length === 1 && sources[0]!.name === '';
  if (!contents && !(await isDirectory(context, machine, to.path))) {
    if (sources.length > 1)
      throw new CenoteError('invalid_argument', `${to.machine}:${to.path} is not a directory, and ${plural(sources.length, 'source')} are to be copied there`, {
        advice: 'end it with / to have it made',
      });
    sources[0]!.name = posix.basename(to.path);
    path = posix.dirname(to.path);
  }
  using progress = context.output.progress(`copying to ${machine.name}`);
  let bytes = 0;
  const content = packFiles(sources, {
    signal: context.signal,
    onBytes: (total) => progress.update(`copying to ${machine.name}: ${formatMib(mibOfBytes((bytes = total)))}`),
    onSkipped: (skipped) => context.output.note(`skipped ${skipped}: neither a file, a directory nor a link`),
  });
  await (await context.control()).filesPut(machine.id, path, content, { signal: context.signal });
  if (json) context.output.json({ machine: machine.id, path: to.path, bytes });
};

/** Whether files go beneath this path: it ends in `/`, or a directory is there already. */
const isDirectory = async (context: Context, machine: Machine, path: string): Promise<boolean> => {
  if (path.endsWith('/')) return true;
  try {
    const first = await firstEntry(context, machine, path);
    return first.directory;
  } catch (error) {
    if (error instanceof CenoteError && error.code === 'not_found') return false;
    throw error;
  }
};

/** What is at a path in a machine, by the first header of its archive; the rest is not read. */
const firstEntry = async (context: Context, machine: Machine, path: string): Promise<{ directory: boolean }> => {
  const { extract } = await import('tar-stream');
  const response = await (await context.control()).filesGet(machine.id, path, { signal: context.signal });
  const archive = extract();
  response.pipe(archive);
  response.on('error', (error) => archive.destroy(error));
  try {
    for await (const entry of archive) return { directory: entry.header.type === 'directory' };
    throw new CenoteError('failed', `${machine.name}:${path} came as an empty archive`);
  } finally {
    response.destroy();
  }
};

/** As a tar stream, which a file or a whole directory is. */
const show = async (context: Context, from: Remote, json: boolean): Promise<void> => {
  if (json) throw invalid('--json', 'standard output is the tar stream');
  if (context.output.stdoutIsTerminal) throw invalid('DST', 'a tar stream is not for a terminal', 'lead it somewhere, such as: | tar -xO');
  const machine = await selectMachine(context, from.machine);
  const response: Readable = await (await context.control()).filesGet(machine.id, from.path.replace(/\/\.$/, '') || '/', { signal: context.signal });
  for await (const bytes of response as AsyncIterable<Buffer>) await context.output.bytes(bytes, 'stdout');
};

const download = async (context: Context, from: Remote, target: string, json: boolean): Promise<void> => {
  const { unpackFiles } = await import('../archive/unpack.ts');
  const machine = await selectMachine(context, from.machine);
  const where = await placeOf(target);
  using progress = context.output.progress(`copying from ${machine.name}`);
  const response: Readable = await (await context.control()).filesGet(machine.id, from.path.replace(/\/\.$/, '') || '/', { signal: context.signal });
  let bytes = 0;
  const contents = from.path === '/' || from.path.endsWith('/.');
  const rename = contents ? where.rename : (where.rename ?? posix.basename(from.path));
  await mkdir(where.directory, { recursive: true }).catch((error: unknown) => {
    throw new CenoteError('failed', `cannot write ${where.directory}: ${whyNot(error)}`, { cause: error });
  });
  await unpackFiles(
    response,
    { directory: where.directory, rename },
    {
      signal: context.signal,
      onBytes: (total) => progress.update(`copying from ${machine.name}: ${formatMib(mibOfBytes((bytes = total)))}`),
      onSkipped: (name) => context.output.note(`skipped ${name}: neither a file, a directory nor a link`),
    },
  );
  if (json) context.output.json({ machine: machine.id, path: from.path, bytes });
};

/** Beneath a directory that is there, or under the target's own name beside it. */
const placeOf = async (target: string): Promise<{ directory: string; rename?: string }> => {
  const stats = await stat(target).catch(() => undefined);
  if (stats?.isDirectory() === true || target.endsWith('/')) return { directory: resolve(target) };
  const parent = dirname(resolve(target));
  await stat(parent).catch((error: unknown) => {
    throw new CenoteError('not_found', `cannot write ${target}: ${whyNot(error)}`);
  });
  return { directory: parent, rename: basename(resolve(target)) };
};
