/** What a command gets: configuration, output, the clients (loaded when asked for) and the signal of Ctrl-C. */
import { CenoteError } from '../base/errors.ts';
import type { AgentClient } from '../client/agent.ts';
import type { ControlClient } from '../client/control.ts';
import type { CliConfig } from './config.ts';
import type { Output } from './output.ts';

export interface Context {
  readonly config: CliConfig;
  readonly output: Output;
  /** Aborted by Ctrl-C, SIGTERM and SIGHUP. */
  readonly signal: AbortSignal;
  /** The control plane, which most commands talk to. */
  control(): Promise<ControlClient>;
  agent(): Promise<AgentClient>;
}

/** Ctrl-C came while something was waited for that goes on without us. */
export class Interrupted extends CenoteError {
  constructor(message: string, advice?: string) {
    super('failed', message, { advice });
    this.name = 'Interrupted';
  }
}

export const interruptedExit = 130;
