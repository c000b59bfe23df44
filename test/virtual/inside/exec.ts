/** One command in a machine, through the control plane, to its end. */
import { ControlClient } from '../../../src/client/control.ts';
import { openExec } from '../../../src/cli/machine/exec-session.ts';

export interface ExecResult {
  code: number;
  output: string;
}

const timeoutMs = 120_000;

export const execIn = async (socketPath: string, machine: string, command: string[]): Promise<ExecResult> => {
  let output = '';
  const onOutput = (_to: string, bytes: Buffer) => (output += bytes.toString('utf8'));
  using control = new ControlClient(socketPath);
  using session = await openExec(control.http, machine, { command, tty: false, stdin: false }, { onOutput }, AbortSignal.timeout(timeoutMs));
  const { code } = await session.exit;
  return { code, output };
};

export const shell = (socketPath: string, machine: string, script: string): Promise<ExecResult> => execIn(socketPath, machine, ['/bin/sh', '-c', script]);
