/** Working inside the machines of a test's instance, as their root. */
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunResult } from '../../src/exec/run.ts';
import { AgentClient } from '../../src/client/agent.ts';
import type { MachineStatus } from '../../src/model/machine.ts';
import { instancePaths } from '../../src/model/instance.ts';
import type { TestInstance } from './instance.ts';

export class Inside implements Disposable {
  readonly agent: AgentClient;
  readonly #instance: TestInstance;

  constructor(instance: TestInstance) {
    this.#instance = instance;
    this.agent = new AgentClient(instancePaths(instance.root).agentSocket);
  }

  async status(name: string): Promise<MachineStatus> {
    const found = (await this.agent.machineList()).find(({ spec }) => spec.name === name);
    assert.ok(found, `there is no ${name}`);
    return found;
  }

  shell(name: string, script: string): Promise<RunResult> {
    return this.#instance.cenote('exec', name, '--', '/bin/sh', '-c', script);
  }

  /** Demands success, and gives what it wrote. */
  async run(name: string, script: string): Promise<string> {
    const { code, stdout, stderr } = await this.shell(name, script);
    assert.equal(code, 0, `${script}: ${stderr}${stdout}`);
    return stdout.trim();
  }

  async refuses(name: string, script: string, why: RegExp): Promise<void> {
    const { code, stdout, stderr } = await this.shell(name, script);
    assert.notEqual(code, 0, `${script} was allowed: ${stdout}`);
    assert.match(stderr, why, script);
  }

  /** Its web server says what it always says. */
  async answers(name: string): Promise<void> {
    assert.equal(await page((await this.status(name)).spec.address), 'here');
  }

  /** Asks a machine's web server again and again while `work` is done: every answer must come. */
  async answersDuring<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    let going = true;
    const asking = (async () => {
      do {
        await this.answers(name);
        await sleep(20);
      } while (going);
    })();
    asking.catch(() => {}); // heard below
    try {
      return await work();
    } finally {
      going = false;
      await asking;
    }
  }

  [Symbol.dispose](): void {
    this.agent[Symbol.dispose]();
  }
}

/** What `answers` asks. */
export const webServer = ['node', '-e', `require('node:http').createServer((_, answer) => answer.end('here')).listen(80)`];

const page = (address: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const request = get({ host: address, port: 80, timeout: 20_000 }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => resolve(text));
    });
    request.on('timeout', () => request.destroy(new Error(`${address} does not answer`)));
    request.on('error', reject);
  });

export const eventually = async (check: () => Promise<void>): Promise<void> => {
  for (const deadline = Date.now() + 60_000; ; await sleep(100)) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
};
