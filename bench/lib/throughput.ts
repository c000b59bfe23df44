/** How fast one TCP stream is, and the fastest a veth can be: a pair between the host and an empty namespace, with no rules of ours on it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { run, start } from '../../src/exec/run.ts';

const namespace = 'benchpair';
const [outer, inner] = ['benchpair0', 'benchpair1'];
const [outerAddress, innerAddress] = ['198.18.255.1', '198.18.255.2'];

export interface Pair extends AsyncDisposable {
  address: string;
}

export const barePair = async (): Promise<Pair> => {
  const ip = (...words: string[]) => run('ip', words);
  await using undo = new AsyncDisposableStack();
  await ip('netns', 'add', namespace);
  undo.defer(async () => void (await ip('netns', 'delete', namespace)));
  await ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', namespace);
  await ip('address', 'add', `${outerAddress}/30`, 'dev', outer);
  await ip('link', 'set', outer, 'up');
  await ip('-n', namespace, 'address', 'add', `${innerAddress}/30`, 'dev', inner);
  await ip('-n', namespace, 'link', 'set', inner, 'up');
  const server = start('/usr/sbin/ip', ['netns', 'exec', namespace, 'iperf3', '--server'], { stdio: 'ignore' });
  undo.defer(() => void server.kill('SIGKILL'));
  const held = undo.move();
  return { address: innerAddress, [Symbol.asyncDispose]: () => held.disposeAsync() };
};

interface Report {
  error?: string;
  end?: { sum_received?: { bits_per_second: number } };
}

/** Gbit/s that arrived. A server that is not there yet is asked again. */
export const throughput = async (iperf: (...words: string[]) => Promise<string>, address: string, port: number, seconds: number): Promise<number> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const report = JSON.parse(await iperf('--client', address, '--port', String(port), '--time', String(seconds), '--json')) as Report;
      const rate = report.end?.sum_received?.bits_per_second;
      if (rate === undefined || rate === 0) throw new Error(`iperf3 measured nothing: ${report.error ?? 'no reason'}`);
      return rate / 1e9;
    } catch (error) {
      if (attempt === 5) throw error;
      await sleep(300);
    }
  }
};
