/**
 * `/dev/ttyS1` for machines whose image asks for it by a label: a terminal of the machine's own and a small program of its own perl that passes
 * bytes to the metadata socket. It runs with the machine's rights and in its memory, so the host has nothing to hold, and to put back after a
 * start of the agent; who is asking the socket knows as always.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageChain } from '../../base/errors.ts';
import type { Machine } from './machine.ts';
import type { Run } from './run.ts';

const label = 'cenote.serial-line';
const program = join(import.meta.dirname, 'serial-line.pl');
const root = { uid: 0, gid: 0, additionalGids: [] };

/** Resolves when the line is there, or cannot be; that is an event. */
export const openSerialLine = async (machine: Machine, run: Run): Promise<void> => {
  if (machine.spec.config.Labels?.[label] !== 'true') return;
  const { host, id, spec } = machine;
  try {
    const request = { command: ['/usr/bin/perl', '-e', await readFile(program, 'utf8')], tty: false, stdin: false };
    const session = await host.runtime.exec(id, request, { ...run.defaults(), user: root, cwd: '/', isUnattended: true });
    let said = '';
    session.stdout.resume();
    session.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(0, 1000)));
    const { code, error } = await session.exited;
    if (code !== 0) host.events.emit('machine.serial', id, `${spec.name} has no /dev/ttyS1: ${error ?? said.trim()}`, { code });
  } catch (error) {
    // It has ended meanwhile.
    host.events.emit('machine.serial', id, `${spec.name} has no /dev/ttyS1: ${messageChain(error)}`, { code: null });
  }
};
