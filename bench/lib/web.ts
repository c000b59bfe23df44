/** Machines that answer HTTP with their own name, and asking them. */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CreateMachine, Machine } from '../../src/model/control-api.ts';
import { burst } from './measure.ts';

/** What it serves includes /hostname, which is the machine's own. */
export const webCommand = ['/usr/bin/busybox', 'httpd', '-f', '-p', '80', '-h', '/etc'];
export const webMachine = (name: string): CreateMachine => ({ name, command: webCommand });

const timeoutMs = 5000;

/** What is said at `path`; on a connection of its own unless there is an agent. */
export const ask = ({ host, port }: { host: string; port: number }, path: string, agent?: Agent): Promise<string> =>
  new Promise((resolve, reject) => {
    const outgoing = request({ host, port, path, agent: agent ?? false, timeout: timeoutMs }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
      response.on('end', () => resolve(text.trim()));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${host} did not answer within ${timeoutMs / 1000} s`)));
    outgoing.on('error', reject);
    outgoing.end();
  });

/** How many answer with their own name, each asked until it does or the time is over. */
export const answering = async (machines: readonly Machine[], patienceMs = 10_000): Promise<{ count: number; firstFailure: string | undefined }> => {
  const agent = new Agent({ keepAlive: false });
  const asked = await burst(machines.length, 32, async (index) => {
    const { address, name } = machines[index]!;
    for (const deadline = Date.now() + patienceMs; ; await sleep(50)) {
      try {
        const said = await ask({ host: address, port: 80 }, '/hostname', agent);
        if (said === name) return;
        throw new Error(`${name} at ${address} said "${said.slice(0, 40)}"`);
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  });
  agent.destroy();
  return { count: asked.samples.length, firstFailure: asked.failures[0] };
};
