/**
 * The load generator, a process of its own in a control group of its own, so that what it takes is known, and nobody takes it from it. Its
 * parent sends the group and the plan, then places that come later; it answers when it begins, and with all that happened. It ends when its parent
 * lets go of the channel.
 */
import { writeFileSync } from 'node:fs';
import type { LoadAnswer, LoadOrder } from './figure1/load-process.ts';
import { Sender } from './figure1/sender.ts';

let sender: Sender | undefined;

const answer = (message: LoadAnswer): void => {
  process.send?.(message);
};

const go = async ({ group, plan }: LoadOrder & { kind: 'go' }): Promise<void> => {
  for (const file of group) writeFileSync(file, String(process.pid));
  sender = new Sender(plan);
  const cpuBefore = process.cpuUsage();
  answer({ kind: 'begun', atNs: String(process.hrtime.bigint()) });
  const outcomes = await sender.run();
  const { user, system } = process.cpuUsage(cpuBefore);
  answer({ kind: 'ended', cpuMs: (user + system) / 1000, outcomes });
};

process.on('message', (order: LoadOrder) => {
  if (order.kind === 'add') sender!.addTarget(order.tenant, order.target);
  else
    go(order).catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
});
