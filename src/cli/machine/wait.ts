import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError, invalid } from '../../base/errors.ts';
import type { Machine } from '../../model/control-api.ts';
import type { MachineState } from '../../model/machine.ts';
import { defineCommand, parsed, some, toggle } from '../command.ts';
import type { Context } from '../context.ts';
import { Interrupted } from '../context.ts';
import { parseSeconds } from '../format.ts';
import { isGlob, selectMachines } from '../select.ts';
import { retryWords, stateWords } from './restart-words.ts';
import { machineStateNames, parseStates } from '../values.ts';

const pollMs = 100;
const atRest: MachineState[] = ['running', 'stopped', 'failed'];

export const command = defineCommand({
  detail:
    'Without --state, until they are at rest: running, stopped or failed; one that has ended and is to be started again is waited for. With --healthy, until they run and their health checks succeed. The exit status is 75 when the time is over first.',
  args: { names: some('NAME', 'machine') },
  flags: {
    state: parsed('STATE[,STATE]', parseStates, 'the states to wait for', { complete: machineStateNames }),
    healthy: toggle('until they run and their health checks succeed'),
    timeout: parsed('TIME', parseSeconds, 'give up after this long, such as 60s'),
  },
  examples: ['wait web', 'wait web --healthy --timeout 30s', "wait 'job-*' --state stopped,failed --timeout 10m"],
  run: async ({ args, flags }, context) => {
    if (flags.healthy && flags.state !== undefined) throw invalid('--healthy', 'is in the place of --state');
    const machines = await selectMachines(context, args.names);
    const states = flags.state ?? atRest;
    const isReached = flags.healthy ? isHealthy : ({ state }: Machine): boolean => states.includes(state);
    const until = flags.timeout === undefined ? Number.POSITIVE_INFINITY : Date.now() + flags.timeout * 1000;
    using progress = context.output.progress('');
    const reached: Machine[] = [];
    for (const machine of machines) {
      const waiting = `waiting until ${machine.name} is ${flags.healthy ? 'healthy' : states.join(' or ')}`;
      progress.update(waiting);
      const now = await waitFor(context, machine, isReached, until, (words) => progress.update(`${waiting}: ${words}`));
      reached.push(now);
      if (!flags.json) context.output.line(`${now.name} is ${flags.healthy ? 'healthy' : outcomeWords(now)}`);
    }
    if (flags.json) context.output.json(args.names.length === 1 && !isGlob(args.names[0]!) ? reached[0] : reached);
  },
});

/** How it ended, once it is at rest; while it is tried again, that. */
const outcomeWords = (machine: Machine): string => {
  const words = stateWords(machine, Date.now());
  return words !== machine.state || machine.state === 'running' || machine.exit === null ? words : `${words}: ${machine.exit.reason}`;
};

/** One that is at rest otherwise, or is never asked, would be waited for in vain. */
const isHealthy = ({ name, state, health, exit, error }: Machine): boolean => {
  if (state === 'running' && health === 'none')
    throw new CenoteError('wrong_state', `${name} has no health check`, { advice: 'its image says what is asked: docs/cli.md, Health checks' });
  if (state === 'stopped' || state === 'failed')
    throw new CenoteError('wrong_state', `${name} is ${state}: ${error ?? exit?.reason ?? 'it is not started'}`, { advice: `its output: cenote logs ${name}` });
  return state === 'running' && health === 'healthy';
};

const waitFor = async (
  context: Context,
  machine: Machine,
  isReached: (machine: Machine) => boolean,
  until: number,
  onRetried: (words: string) => void,
): Promise<Machine> => {
  const control = await context.control();
  const { signal } = context;
  let now = machine;
  try {
    while (!isReached(now)) {
      if (Date.now() >= until)
        throw new CenoteError('timeout', `${now.name} is still ${stateWords(now, Date.now())}${now.state === 'running' ? `, and ${now.health}` : ''}`, {
          advice: `see why: cenote why ${now.name}`,
        });
      await sleep(pollMs, undefined, { signal });
      now = await control.machineGet(machine.id, { signal });
      const words = retryWords(now, Date.now());
      if (words !== '') onRetried(words);
    }
  } catch (error) {
    if (signal.aborted) throw new Interrupted(`no longer waiting for ${machine.name}`);
    throw error;
  }
  return now;
};
