/** The generator as its parent sees it: bench/load.ts started, told what to send, and waited for. */
import { once } from 'node:events';
import { join } from 'node:path';
import { start } from '../../src/exec/run.ts';
import type { Outcome, Plan, Target } from './sender.ts';

/** `group`: files of control groups to write its pid to. */
export type LoadOrder = { kind: 'go'; group: string[]; plan: Plan } | { kind: 'add'; tenant: number; target: Target };
export type LoadAnswer = { kind: 'begun'; atNs: string } | { kind: 'ended'; cpuMs: number; outcomes: Outcome[] };

export interface Load {
  /** When the first moment of the plan was, by the monotonic clock. */
  begunNs: bigint;
  /** One that is there only when all has been sent has come too late, and is asked for nothing. */
  addTarget(tenant: number, target: Target): void;
  ended: Promise<{ cpuMs: number; outcomes: Outcome[] }>;
}

export const startLoad = async (plan: Plan, group: string[]): Promise<Load> => {
  const child = start(process.execPath, [join(import.meta.dirname, '../load.ts')], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const begun = Promise.withResolvers<bigint>();
  const ended = Promise.withResolvers<{ cpuMs: number; outcomes: Outcome[] }>();
  ended.promise.catch(() => {}); // told to whoever waits for it
  child.on('message', (answer: LoadAnswer) => {
    if (answer.kind === 'begun') return begun.resolve(BigInt(answer.atNs));
    ended.resolve(answer);
    child.disconnect();
  });
  const died = once(child, 'exit').then(([code]) => {
    const error = new Error(`the load generator ended with ${String(code)}`);
    begun.reject(error);
    ended.reject(error);
  });
  const tell = (order: LoadOrder): void => void child.send(order);
  tell({ kind: 'go', group, plan });
  return {
    begunNs: await begun.promise,
    addTarget: (tenant, target) => {
      if (child.connected) tell({ kind: 'add', tenant, target });
    },
    ended: ended.promise.then(async (result) => {
      await died;
      return result;
    }),
  };
};
