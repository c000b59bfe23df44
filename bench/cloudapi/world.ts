/** A control plane and a simulated host, each a process of its own, so that what the control plane takes is known; and accounts with as many machines. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { ControlClient } from '../../src/client/control.ts';
import { start } from '../../src/exec/run.ts';
import { SignedClient } from '../../test/support/signed-client.ts';
import { cpuMs } from '../lib/processes.ts';
import type { HostAnswer, HostOrder } from './simulated-host.ts';

export interface CloudWorld extends AsyncDisposable {
  url: URL;
  client(account: string, kind?: KeyKind): SignedClient;
  /** CPU that the control plane has taken so far. */
  cpuMs(): number;
  /** Lets a machine's first process end; when that was, by the monotonic clock. */
  endMachine(machine: string): Promise<bigint>;
}

export const keyKinds = ['ed25519', 'ecdsa', 'rsa'] as const;
type KeyKind = (typeof keyKinds)[number];

const rsaKey = (): sshpk.PrivateKey =>
  sshpk.parsePrivateKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'pem');

/** One account for each key of `machines`, with that many; it holds a key of each kind. */
export const openCloudWorld = async (machines: Record<string, number>): Promise<CloudWorld> => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'cenote-bench-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const begin = (file: string, argument: string) => {
    const child = start(process.execPath, [join(import.meta.dirname, file), argument], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    stack.defer(async () => {
      const ended = once(child, 'exit');
      child.disconnect();
      await ended;
    });
    return child;
  };
  const host = begin('simulated-host.ts', join(directory, 'agent.sock'));
  const tellHost = async (order: HostOrder): Promise<HostAnswer> => {
    const answered = once(host, 'message');
    host.send(order);
    return (await answered)[0] as HostAnswer;
  };
  await once(host, 'message');
  const control = begin('control-process.ts', directory);
  await once(control, 'message');
  const client = stack.use(new ControlClient(join(directory, 'control.sock')));
  const url = new URL((await client.info()).cloudapi!);
  const keys = { ed25519: sshpk.generatePrivateKey('ed25519'), ecdsa: sshpk.generatePrivateKey('ecdsa'), rsa: rsaKey() };
  const byId: Record<string, number> = {};
  for (const [name, count] of Object.entries(machines)) {
    const { id } = await client.accountCreate({ name, keys: keyKinds.map((kind) => ({ name: kind, key: keys[kind].toPublic().toString('ssh') })) });
    byId[id] = count;
  }
  const clientOf = (account: string, kind: KeyKind = 'ed25519') => new SignedClient(url.href, account, keys[kind]);
  await tellHost({ kind: 'have', machines: byId });
  for (const [account, count] of Object.entries(machines)) {
    const last = `/my/machines?limit=1&offset=${count - 1}`;
    while ((await clientOf(account).send('GET', last)).text === '[]') await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const moved = stack.move();
  return {
    url,
    client: clientOf,
    cpuMs: () => cpuMs(control.pid!),
    endMachine: async (machine) => {
      const answer = await tellHost({ kind: 'end', machine });
      if (answer.kind !== 'ended') throw new Error('the host did not say when');
      return BigInt(answer.atNs);
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
};
