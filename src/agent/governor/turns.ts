/**
 * The agent's governor, as long as it is the agent's turn. An agent that stood still finds that its stand-in has taken the turn: it ends what
 * it had begun, has the turn back, and governs from the start, with what it finds in the kernel and nothing that it remembers. What it had
 * decided before it stood still may be done after: each is done with what is true by then, and what is none the less out of date (who is
 * offered, how much one is held at) the next look sets right.
 */
import type { Logger } from '../../base/logger.ts';
import type { AgentTurn } from '../../host/cgroup/turn.ts';
import type { Governor } from './governor.ts';

export const onLate = (logger: Logger) => (): void => logger.warn('the stand-in does not let go: governing all the same');

/** `begin` is called each time that the turn is ours. */
export const governInTurns = (turn: Pick<AgentTurn, 'regain'>, begin: () => Governor, logger: Logger): AsyncDisposable => {
  let governor = begin();
  let isEnding = false;
  const goOn = async (): Promise<void> => {
    while ((await governor.over) === 'lost') {
      logger.warn('this agent stood still, and its stand-in governed meanwhile');
      await governor[Symbol.asyncDispose]();
      if (isEnding) return;
      await turn.regain(onLate(logger));
      // Whoever ends us has ended the former one, and would wait for this one for ever.
      if (isEnding) return;
      governor = begin();
    }
  };
  const governing = goOn();
  return {
    [Symbol.asyncDispose]: async () => {
      isEnding = true;
      await governor[Symbol.asyncDispose]();
      await governing;
    },
  };
};
