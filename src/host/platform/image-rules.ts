/** What an image may hold at the top of its tree, and how a machine's root becomes an image. */
import { chmod, lstat, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { invalid } from '../../base/errors.ts';
import { run } from '../../exec/run.ts';
import type { NameRule } from '../archive/entry-check.ts';
import { mergedNames } from './host-template.ts';

const advice = 'put it in /app or /opt, or make the image of kind system, with a userland of its own';
/** Mounted when a machine starts: what is below would never be seen. */
const mounted = ['proc', 'sys', 'dev', 'run', '.zonecontrol'];
/** Directories of every platform, which nothing else may replace. */
const directories = ['etc', 'var', 'home', 'root', 'opt', 'srv', 'app', 'tmp', 'mnt', 'media', ...mounted];

/** An image of kind app lies over the platform's template, and the platform's /usr lies over both. */
export const appNameRule: NameRule = (name, flag) => {
  const slash = name.indexOf('/');
  const top = slash === -1 ? name : name.slice(0, slash);
  const shownName = JSON.stringify(name.slice(0, 120));
  if (top === 'usr') throw invalid('archive', `entry ${shownName} would be hidden: /usr is the platform's`, advice);
  if (mergedNames.includes(top)) throw invalid('archive', `entry ${shownName} would replace the platform's /${top}`, advice);
  if (slash !== -1 && mounted.includes(top)) throw invalid('archive', `entry ${shownName} would be hidden: /${top} is made anew when a machine starts`, advice);
  if (slash === -1 && directories.includes(top) && flag !== '5') throw invalid('archive', `entry ${shownName} would replace the directory /${top}`, advice);
};

/** What `docker save` and its kin write is no root but a box of layers. */
const refuseLayers = (names: readonly string[]): void => {
  const isBox = names.some((name) => name === 'repositories' || name === 'blobs' || /^[0-9a-f]{64}(\.json|\.tar)?$/.test(name));
  const isLayout = names.includes('oci-layout') || (names.includes('manifest.json') && isBox);
  if (!isLayout || names.includes('usr') || names.includes('bin')) return;
  const what = 'this is an image in layers, as docker save writes it, and not a root';
  throw invalid('archive', what, 'write its root instead: docker export $(docker create IMAGE) > root.tar, and see docs/cli.md');
};

/** Once more on the tree itself: a link in an archive can lead a later entry where its name does not say. */
export const checkAppTree = async (root: string): Promise<void> => {
  refuseLayers(await readdir(root));
  for (const entry of await readdir(root, { withFileTypes: true })) {
    appNameRule(entry.name, entry.isDirectory() ? '5' : '0');
    if (mounted.includes(entry.name) && (await readdir(join(root, entry.name))).length > 0) appNameRule(`${entry.name}/`, '0');
  }
};

/** An own userland must at least look like one. */
export const checkSystemTree = async (root: string): Promise<void> => {
  const found = await readdir(root);
  refuseLayers(found);
  if (!found.includes('usr') && !found.includes('bin'))
    throw invalid('archive', 'an image of kind system brings a userland of its own, but there is neither /usr nor /bin in it', 'make it of kind app');
  for (const name of [...mounted, 'tmp', 'etc']) {
    const stat = await lstat(join(root, name)).catch(() => null);
    if (stat === null) await mkdir(join(root, name));
    else if (!stat.isDirectory()) throw invalid('archive', `/${name} of the image is not a directory`);
    if (stat === null && name === 'tmp') await chmod(join(root, name), 0o1777);
  }
};

/** Of /etc what is one machine's alone. An app gets the platform's again; an own userland keeps a place for them. */
const machinesOwn = ['hostname', 'hosts', 'resolv.conf', 'machine-id'];
const neverCopied = [...mounted, 'tmp'];
const copyTimeoutMs = 3_600_000;

/** All of a finished image's tree. */
export const copyTree = async (from: string, to: string, signal: AbortSignal): Promise<void> => {
  await run('cp', ['--archive', '--reflink=auto', '--', `${from}/.`, `${to}/`], { signal, timeoutMs: copyTimeoutMs });
};

/** A machine's merged root, at rest, into an image's tree. */
export const copyRoot = async (from: string, root: string, kind: 'app' | 'system', signal: AbortSignal): Promise<void> => {
  const left = new Set(kind === 'app' ? [...neverCopied, 'usr', ...mergedNames] : neverCopied);
  for (const name of (await readdir(from)).toSorted()) {
    if (left.has(name)) continue;
    signal.throwIfAborted();
    // One file system for each name by itself: /usr is a mount of its own, and mounts below are not the machine's data.
    await run('cp', ['--archive', '--reflink=auto', '--one-file-system', '--', join(from, name), `${root}/`], { signal, timeoutMs: copyTimeoutMs });
  }
  for (const name of machinesOwn) {
    const path = join(root, 'etc', name);
    const there = (await lstat(path).catch(() => null)) !== null;
    await rm(path, { recursive: true, force: true });
    if (there && kind === 'system') await writeFile(path, '');
  }
};
