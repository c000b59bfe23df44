/**
 * The other engines, measured in namespaces of their own: the suite starts this program with a network and mounts that nobody else has, so
 * that bridges, firewall rules and files in /run of theirs are gone with it. Arguments: a directory, and the counts as JSON. One line of
 * JSON for each engine, or for why it could not be measured.
 */
import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { jsonLine } from '../src/base/json-lines.ts';
import { run } from '../src/exec/run.ts';
import { detectLayout } from '../src/host/cgroup/layout.ts';
import { openDocker } from './peers/docker.ts';
import { openLxc } from './peers/lxc.ts';
import { measurePeer } from './peers/measure.ts';
import type { PeerCounts } from './peers/measure.ts';
import { makeRoot } from './peers/peer.ts';
import type { Peer, PeerPlace } from './peers/peer.ts';
import { openPodman } from './peers/podman.ts';

const [directory, countsText] = process.argv.slice(2);
if (directory === undefined || countsText === undefined) throw new Error('usage: peers.ts DIRECTORY COUNTS');
const counts = JSON.parse(countsText) as PeerCounts;
const tell = (line: unknown): boolean => process.stdout.write(jsonLine(line));
const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

await run('ip', ['link', 'set', 'lo', 'up']);
for (const path of ['/run', '/var/lib/cni', '/etc/cni/net.d', '/var/lib/containers']) {
  await run('mkdir', ['--parents', path]);
  await run('mount', ['--types', 'tmpfs', 'tmpfs', path]);
}
// /sys shows the links of the network it was mounted in; only these two directories are wanted anew, for control groups are below /sys too.
const links = join(directory, 'sysfs');
await run('mkdir', [links]);
await run('mount', ['--types', 'sysfs', 'sysfs', links]);
for (const path of ['class/net', 'devices/virtual/net']) await run('mount', ['--bind', join(links, path), join('/sys', path)]);

const engines: Record<string, (place: PeerPlace) => Promise<Peer[]>> = { Docker: openDocker, Podman: openPodman, LXC: openLxc };
const place: PeerPlace = { directory, ...(await makeRoot(directory)) };
for (const [engine, open] of Object.entries(engines)) {
  let peers: Peer[] = [];
  try {
    peers = await open(place);
    for (const peer of peers) {
      try {
        tell(await measurePeer(peer, counts));
      } catch (error) {
        tell({ name: peer.name, version: peer.version, skipped: reasonOf(error) });
      }
    }
  } catch (error) {
    tell({ name: engine, skipped: reasonOf(error) });
  } finally {
    for (const peer of peers) {
      try {
        await peer[Symbol.asyncDispose]();
      } catch (error) {
        tell({ name: peer.name, skipped: `could not be closed: ${reasonOf(error)}` });
      }
    }
  }
}

/** Groups that engines leave, empty: theirs by name. */
const { v1, unified, named } = detectLayout();
for (const tree of new Set([...v1.values(), ...named, ...(unified === null ? [] : [unified])])) {
  for (const name of readdirSync(tree).filter((one) => /^(docker|libpod_parent|machine\.slice|lxc\.)/.test(one))) {
    for (const inner of readdirSync(join(tree, name), { withFileTypes: true })) if (inner.isDirectory()) remove(join(tree, name, inner.name));
    remove(join(tree, name));
  }
}
function remove(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // In use by somebody else: not ours to judge.
  }
}
