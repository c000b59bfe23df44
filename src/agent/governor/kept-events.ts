/**
 * What a stand-in did, in a file beside the journal until the next agent makes events of it: only the agent numbers events and writes the
 * journal. Bounded, since there may be no agent for long: what comes when it is full is in the stand-in's log alone.
 */
import { appendFileSync, readFileSync, rmSync, statSync } from 'node:fs';
import { isErrno } from '../../base/errno.ts';
import { messageChain } from '../../base/errors.ts';
import { jsonLine } from '../../base/json-lines.ts';
import type { Logger } from '../../base/logger.ts';
import { happened } from '../events.ts';
import type { Events, Happened } from '../events.ts';

const mostBytes = 2 ** 20;

export const keptEventsPath = (directory: string): string => `${directory}/stand-in-events.jsonl`;

/** In place of the agent's own. */
export const keepEvents = (path: string, logger: Logger): Pick<Events, 'emit'> => ({
  emit: (type, subject, message, ...[detail]) => {
    logger.info({ event: type, subject, ...detail }, message);
    try {
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      if (size < mostBytes) appendFileSync(path, jsonLine(happened(type, subject, message, detail)), { mode: 0o600 });
    } catch (error) {
      // A full disk keeps nobody from governing.
      logger.warn({ error: messageChain(error) }, 'what was done could not be written down');
    }
  },
});

/** Tells of them, and then forgets them: an agent that is killed in between tells twice rather than not at all. */
export const tellKept = (path: string, events: Pick<Events, 'tell'>): void => {
  for (const line of linesOf(path)) {
    const what = parsed(line);
    if (what !== null) events.tell(what);
  }
  rmSync(path, { force: true });
};

const linesOf = (path: string): string[] => {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
};

/** Null for the last line of a stand-in that was killed as it wrote. */
const parsed = (line: string): Happened | null => {
  try {
    return JSON.parse(line) as Happened;
  } catch {
    return null;
  }
};
