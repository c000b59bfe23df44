/** The same measurements for every engine, ours among them. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryTable } from '../lib/host.ts';
import { burst, demandAll, timed } from '../lib/measure.ts';
import { summarise } from '../lib/statistics.ts';
import type { Summary } from '../lib/statistics.ts';
import { idleCommand } from './peer.ts';
import type { Peer } from './peer.ts';

export interface PeerCounts {
  serial: number;
  together: number;
  idle: number;
}

export interface PeerFigures {
  name: string;
  version: string;
  start: Summary;
  startPerSecondAt8: number;
  update: Summary;
  remove: Summary;
  removePerSecondAt8: number;
  /** MiB for each container that runs, beyond its own process. */
  idleMib: number;
}

const settleMs = 3000;

export const measurePeer = async (peer: Peer, counts: PeerCounts): Promise<PeerFigures> => {
  let number = 0;
  const prefix = `bench-${process.pid}`;
  const nameNext = () => `${prefix}-${number++}`;
  const warm = nameNext();
  await peer.start(warm);
  await peer.remove(warm);

  const [start, update, remove]: number[][] = [[], [], []];
  for (let index = 0; index < counts.serial; index += 1) {
    const id = nameNext();
    start!.push(await timed(() => peer.start(id)));
    update!.push(await timed(() => peer.update(id, 300)));
    remove!.push(await timed(() => peer.remove(id)));
  }

  const ids = Array.from({ length: counts.together }, nameNext);
  const started = await burst(ids.length, 8, (index) => peer.start(ids[index]!));
  demandAll(`${peer.name}: start, 8 at once`, started);
  const removed = await burst(ids.length, 8, (index) => peer.remove(ids[index]!));
  demandAll(`${peer.name}: remove, 8 at once`, removed);

  return {
    name: peer.name,
    version: peer.version,
    start: summarise(start!),
    startPerSecondAt8: started.perSecond,
    update: summarise(update!),
    remove: summarise(remove!),
    removePerSecondAt8: removed.perSecond,
    idleMib: await idleCost(peer, Array.from({ length: counts.idle }, nameNext)),
  };
};

/**
 * What is available before and after, less what the idle programs themselves hold; the same for all engines, daemons' growth included. Caches
 * are dropped both times: what earlier containers left in them would be more than what fifty take.
 */
const idleCost = async (peer: Peer, ids: readonly string[]): Promise<number> => {
  await sleep(settleMs);
  writeFileSync('/proc/sys/vm/drop_caches', '3');
  const before = memoryTable()['MemAvailable']!;
  demandAll(`${peer.name}: idle containers`, await burst(ids.length, 4, (index) => peer.start(ids[index]!)));
  await sleep(settleMs);
  writeFileSync('/proc/sys/vm/drop_caches', '3');
  const used = before - memoryTable()['MemAvailable']!;
  const own = idlePids().reduce((sum, pid) => sum + (memoryTable(`/proc/${pid}/smaps_rollup`)['Pss'] ?? 0), 0);
  demandAll(`${peer.name}: removal of idle containers`, await burst(ids.length, 4, (index) => peer.remove(ids[index]!)));
  return (used - own) / ids.length;
};

const idlePids = (): string[] =>
  readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8') === `${idleCommand.join('\0')}\0`;
    } catch {
      return false;
    }
  });
