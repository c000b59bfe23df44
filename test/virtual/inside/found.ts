/** What an instance holds, as one line of JSON: its machines with their data and the data of each snapshot (machines are rolled back to see it). */
import { setTimeout as sleep } from 'node:timers/promises';
import { jsonLine } from '../../../src/base/json-lines.ts';
import { ControlClient } from '../../../src/client/control.ts';
import type { Machine } from '../../../src/model/control-api.ts';
import { defaultRoot, instancePaths } from '../../../src/model/instance.ts';
import { shell } from './exec.ts';
import { dataPath } from './work.ts';

export interface FoundMachine {
  name: string;
  desired: string;
  /** After it has had time to come to rest. */
  state: string;
  error: string | null;
  data: string | null;
  /** By snapshot. */
  snapshots: Record<string, string | null>;
}

const settleMs = 180_000;
const wait = { wait: 300 };
const socket = instancePaths(defaultRoot).controlSocket;

const main = async (): Promise<void> => {
  using control = new ControlClient(socket);
  const machines: Machine[] = [];
  for (const deadline = Date.now() + settleMs; ; await sleep(300)) {
    machines.splice(0, machines.length, ...(await control.machineList()));
    const atRest = machines.every(({ state, desired }) => state === desired || state === 'failed');
    if (atRest || Date.now() > deadline) break;
  }
  const found: FoundMachine[] = [];
  for (const { id, name, desired, state, error } of machines) {
    const snapshots = await control.snapshotList(id);
    const one: FoundMachine = { name, desired, state, error, data: null, snapshots: {} };
    found.push(one);
    if (state !== 'running') await control.machineStart(id, wait);
    one.data = await read(name);
    for (const snapshot of snapshots) {
      await control.snapshotRollback(id, snapshot.name, wait);
      one.snapshots[snapshot.name] = await read(name);
    }
  }
  process.stdout.write(jsonLine(found));
};

const read = async (machine: string): Promise<string | null> => {
  const { code, output } = await shell(socket, machine, `cat ${dataPath} 2>/dev/null`);
  return code === 0 ? output.trim() : null;
};

await main();
