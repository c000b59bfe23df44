/**
 * The architecture, as a test: which folder may import which, and a few rules no linter has. The table is the one in the house
 * style; a new arrow is a decision, made here.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { findCycle, importsOf, membersOf } from './tidy/module-graph.ts';
import type { Import } from './tidy/module-graph.ts';

const root = resolve(import.meta.dirname, '..');

const arrows: Readonly<Record<string, readonly string[]>> = {
  base: [],
  model: ['base'],
  dns: ['base', 'model'],
  exec: ['base'],
  sys: ['base'],
  host: ['base', 'model', 'dns', 'exec', 'sys'],
  agent: ['base', 'model', 'dns', 'host', 'client'],
  resolver: ['base', 'model', 'dns'],
  store: ['base', 'model'],
  control: ['base', 'model', 'dns', 'store', 'client'],
  client: ['base', 'model'],
  cli: ['base', 'model', 'client'],
  console: ['base', 'model', 'client'],
  setup: ['base', 'model', 'exec', 'sys', 'host', 'client'],
};

/** Single files that a folder may import besides: by the importing folder. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  // Who is calling on a socket, and nothing else of the kernel.
  control: ['src/sys/peer.ts'],
  agent: ['src/sys/peer.ts'],
  // What an agent that does not run has on record.
  setup: ['src/agent/recorded.ts'],
  // Which addresses are machines'; pure.
  resolver: ['src/host/network/subnet.ts'],
};

/** Folders that a folder may import dynamically, or types of, only: what ordinary commands must not pay for. */
const lazily: Readonly<Record<string, readonly string[]>> = { cli: ['setup'] };

const longestFile = 400;

const filesIn = (folder: string, ending: string): string[] =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
        .map((entry) => relative(root, join(entry.parentPath, entry.name)))
        .filter((path) => !path.includes('node_modules'))
        .sort()
    : [];

const text = (path: string): string => readFileSync(join(root, path), 'utf8');
const sources = filesIn('src', '.ts');
const shipped = sources.filter((path) => !path.endsWith('.test.ts'));
const folderOf = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1];

/** Imports of our own files, by path from the root. */
const ownImports = new Map<string, Import[]>(
  sources.map((path) => [
    path,
    importsOf(path, text(path))
      .filter(({ from }) => from.startsWith('.'))
      .map((found) => ({ ...found, from: relative(root, resolve(root, dirname(path), found.from)) })),
  ]),
);

const isAllowed = (path: string, { from, dynamic, typeOnly }: Import): boolean => {
  const [here, there] = [folderOf(path), folderOf(from)];
  if (here === undefined || there === undefined) return false;
  if (here === there || arrows[here]?.includes(there) === true) return true;
  return exceptions[here]?.includes(from) === true || ((dynamic || typeOnly) && lazily[here]?.includes(there) === true);
};

describe('the house is in order', () => {
  it('imports go downward only', () => {
    const wrong = shipped.flatMap((path) =>
      ownImports
        .get(path)!
        .filter((found) => !isAllowed(path, found))
        .map(({ from }) => `${path} imports ${from}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('every folder of src is in the table', () => {
    assert.deepEqual(
      [...new Set(sources.map(folderOf))].filter((folder) => folder === undefined || !(folder in arrows)),
      [],
    );
  });

  it('imports name files that exist', () => {
    const missing = [...ownImports].flatMap(([path, found]) =>
      found.filter(({ from }) => !existsSync(join(root, from))).map(({ from }) => `${path} imports ${from}`),
    );
    assert.deepEqual(missing, []);
  });

  it('no import comes back to where it started', () => {
    const graph = new Map(
      [...ownImports].map(([path, found]) => [path, found.filter(({ typeOnly, dynamic }) => !typeOnly && !dynamic).map(({ from }) => from)]),
    );
    assert.equal(findCycle(graph)?.join(' -> '), undefined);
  });

  it('the command line starts without the schemas', () => {
    // They are hundreds of modules, which take longer to load than most commands take. Explaining events is not worth less than that.
    const reaches = (path: string, seen = new Set<string>()): boolean => {
      if (seen.has(path)) return false;
      seen.add(path);
      if (importsOf(path, text(path)).some(({ from, typeOnly }) => !typeOnly && from.startsWith('typebox'))) return true;
      return (ownImports.get(path) ?? []).some(({ from, typeOnly, dynamic }) => !typeOnly && !dynamic && reaches(from, seen));
    };
    const wrong = shipped.filter((path) => path.startsWith('src/cli/') && !path.startsWith('src/cli/why/') && reaches(path));
    assert.deepEqual(wrong, []);
  });

  it('only src/exec starts programs', () => {
    const wrong = shipped.filter(
      (path) => folderOf(path) !== 'exec' && importsOf(path, text(path)).some(({ from, typeOnly }) => !typeOnly && /^(node:)?child_process$/.test(from)),
    );
    assert.deepEqual(wrong, []);
  });

  it('only src/sys loads the foreign function interface', () => {
    const wrong = shipped.filter((path) => folderOf(path) !== 'sys' && importsOf(path, text(path)).some(({ from }) => from === 'koffi' || from === 'node:ffi'));
    assert.deepEqual(wrong, []);
  });

  it('only config.ts of a folder reads the environment', () => {
    const wrong = shipped.filter((path) => !/^src\/[^/]+\/config\.ts$/.test(path) && membersOf(path, text(path)).has('process.env'));
    assert.deepEqual(wrong, []);
  });

  it('only the command line’s output writes to the console', () => {
    const wrong = shipped.filter((path) => path !== 'src/cli/output.ts' && [...membersOf(path, text(path))].some((member) => member.startsWith('console.')));
    assert.deepEqual(wrong, []);
  });

  it(`no file is longer than ${longestFile} lines`, () => {
    const long = [...sources, ...filesIn('test', '.ts'), ...filesIn('tools', '.ts'), ...filesIn('bench', '.ts')]
      .map((path) => ({ path, lines: text(path).split('\n').length - 1 }))
      .filter(({ lines }) => lines > longestFile);
    assert.deepEqual(long, []);
  });

  it('documents name files that exist', () => {
    const documents = ['README.md', 'CHANGELOG.md', ...filesIn('docs', '.md'), ...filesIn('examples', '.md')].filter((path) => existsSync(join(root, path)));
    const missing = documents.flatMap((path) =>
      namedFiles(path)
        .filter(({ target }) => !existsSync(target))
        .map(({ named }) => `${path} names ${named}`),
    );
    assert.deepEqual(missing, []);
  });
});

/** Paths in code marks that begin with one of our folders, and targets of relative links. */
const namedFiles = (path: string): { named: string; target: string }[] => {
  const content = text(path);
  const marked = [...content.matchAll(/`((?:src|test|tools|bench|docs|examples|\.ci)\/[A-Za-z0-9_./-]+)`/g)].map(([, named]) => ({
    named: named!,
    target: join(root, named!),
  }));
  const linked = [...content.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
    .filter(([, named]) => !/^[a-z]+:/.test(named!))
    .map(([, named]) => ({ named: named!, target: resolve(root, dirname(path), named!) }));
  return [...marked, ...linked];
};
