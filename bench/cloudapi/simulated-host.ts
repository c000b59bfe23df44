/**
 * A host without machines' costs, as a process of its own: `simulated-host.ts SOCKET`. Its parent tells it how many machines of which accounts it
 * has, and to let one of them end; it says when that was.
 */
import { once } from 'node:events';
import { defaultResources } from '../../src/model/default-resources.ts';
import { newMachineId } from '../../src/base/ids.ts';
import { SimulatedAgent } from '../../test/support/simulated-agent.ts';
import { baseImage, hostPlatform, statusOf } from '../../test/support/simulated-content.ts';
import type { MachineSpec } from '../../src/model/machine.ts';

export type HostOrder = { kind: 'have'; machines: Record<string, number> } | { kind: 'end'; machine: string };
export type HostAnswer = { kind: 'serves' } | { kind: 'ended'; atNs: string };

const agent = new SimulatedAgent(process.argv[2]!);
const answer = (message: HostAnswer): void => void process.send!(message);

const specOf = (account: string, name: string, address: string): MachineSpec => ({
  id: newMachineId(),
  account,
  name,
  image: { id: baseImage.id, name: baseImage.name },
  platform: { name: hostPlatform.name, version: hostPlatform.version },
  config: baseImage.config,
  command: null,
  env: { PORT: '8080' },
  resources: { ...defaultResources, cpuMillis: 1, memoryMib: 4, diskMib: 16 },
  address,
  publish: [],
  restart: { policy: 'never', maxRetries: null },
  tags: { role: 'web', tier: 2 },
  metadata: { 'user-data': 'as most have some' },
  stopGraceSeconds: 10,
});

/** The control plane finds them when it has lost its connection and compares. */
const have = async (machines: Record<string, number>): Promise<void> => {
  await agent.stop();
  let place = 2;
  for (const [account, count] of Object.entries(machines)) {
    for (let index = 0; index < count; index += 1, place += 1) {
      const spec = specOf(account, `m${index}`, `10.77.${place >> 8}.${place & 255}`);
      agent.machines.set(spec.id, { status: statusOf(spec, 1, 'running'), snapshots: new Map() });
    }
  }
  await agent.start();
  answer({ kind: 'serves' });
};

process.on('message', (order: HostOrder) => {
  if (order.kind === 'have') return void have(order.machines);
  const atNs = String(process.hrtime.bigint());
  agent.exit(order.machine, 0);
  answer({ kind: 'ended', atNs });
});
await agent.start();
answer({ kind: 'serves' });
await once(process, 'disconnect');
await agent[Symbol.asyncDispose]();
