/**
 * The governor while there is no agent, or one that stands still: the same one, in a process of its own that otherwise waits and costs next to
 * nothing. What it has to know is in the kernel and in the journal, which it only reads. It may be killed at any moment; the next one, or the
 * agent, finds in the kernel what it has set.
 *
 * It is there before it is needed. A process that is started when the agent has ended comes too late: a machine may fill what was free in a
 * tenth of a second, and without swap the kernel then kills by size, in whom it finds.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { Semaphore } from '../../base/semaphore.ts';
import { readHostKills, readHostMemory } from '../../host/cgroup/host-memory.ts';
import { openPoolControls } from '../../host/cgroup/open.ts';
import { occupiedParent } from '../../host/cgroup/parent.ts';
import { endAgent, StandInTurns } from '../../host/cgroup/turn.ts';
import type { StandInTurn, TurnPlace } from '../../host/cgroup/turn.ts';
import { Governor } from './governor.ts';
import type { GovernedMachine } from './governor.ts';
import { keepEvents, keptEventsPath } from './kept-events.ts';
import { recordedMachines } from '../recorded.ts';
import { tellEvents } from './tell.ts';
import { hostTuning } from './tuning.ts';

/** An agent that starts waits for so long at most. */
const lookForAgentMs = 50;
/**
 * An agent that stands still after so many looks is ended: whoever keeps it running starts another. Looks and not time, so that it had as
 * many occasions to run as this process had.
 */
const looksUntilEnded = 600;
const retryMs = 1000;

export interface StandInOptions {
  instance: string;
  place: TurnPlace;
  journalPath: string;
  logger: Logger;
}

/** Whenever there is no agent, until the process is ended. */
export const standIn = async (options: StandInOptions): Promise<never> => {
  const { place, logger } = options;
  let turns: StandInTurns | null = null;
  for (;;) {
    try {
      turns ??= await StandInTurns.alone(place);
      using turn = await turns.next();
      if (turn !== null) await governMeanwhile(turn, options);
    } catch (error) {
      logger.error({ error: messageChain(error) }, 'nobody stands in for the agent');
      await sleep(retryMs);
    }
  }
};

const governMeanwhile = async (turn: StandInTurn, options: StandInOptions): Promise<void> => {
  const { place, logger } = options;
  await using _governor = startGoverning(turn, options);
  for (let looks = 0; !turn.isAsked(); looks += 1) {
    if (looks === looksUntilEnded && turn.beside !== null) {
      logger.warn({ pid: turn.beside.pid, seconds: Math.round((looks * lookForAgentMs) / 1000) }, 'the agent still stands still: it is ended');
      endAgent(place, turn.beside);
    }
    await sleep(lookForAgentMs);
  }
  logger.info('the agent is there again');
};

/** Without an agent that works no machine starts, so those that run now are all there will be. */
const startGoverning = ({ beside }: StandInTurn, { instance, place, journalPath, logger }: StandInOptions): Governor | null => {
  const parent = occupiedParent(instance);
  if (parent === null) return null;
  const { memory, pressure } = openPoolControls({ parent });
  const groups = new Set(parent.machines);
  const running = recordedMachines(journalPath)
    .filter(({ id }) => groups.has(id))
    .map((machine): GovernedMachine => ({ ...machine, limits: new Semaphore(1) }));
  const byId = new Map(running.map((machine) => [machine.id, machine]));
  const find = (id: string) => byId.get(id);
  if (beside === null) logger.info({ machines: running.length }, 'there is no agent: governing in its place');
  else logger.warn({ machines: running.length, pid: beside.pid }, 'the agent stands still: governing in its place');
  return new Governor({
    memory,
    mostBytes: () => Infinity,
    readHost: readHostMemory,
    readHostKills,
    machines: () => byId.values(),
    find,
    listener: tellEvents(keepEvents(keptEventsPath(place.directory), logger), find, pressure),
    tuning: hostTuning(),
    keepTurn: () => true,
    logger,
  });
};
