/**
 * Whose turn it is to govern what machines borrow: the agent's while there is one that is alive, its stand-in's otherwise, and never both at
 * once. Two locks of files say it, which the kernel gives back however their holder ends: the agent's presence, and the turn itself. A process
 * that stands still keeps its locks, so the agent also gives a sign of life: it writes to a small file in memory. One that has given none for
 * more than half a second loses the turn: the file of its lock is taken away, and the stand-in locks a new one. The sign is also how an agent
 * asks for the turn.
 *
 * Both sides write before they look: the agent its sign, and then whether the lock is still the file's; the stand-in the file, and then
 * whether the sign has moved. So one of them always sees the other.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';
import { awaitFileLock, lockFile, tryLockFile } from '../../sys/flock.ts';
import type { FileLock } from '../../sys/flock.ts';
import { identify, isAlive, signalProcess } from '../../sys/process-identity.ts';
import type { ProcessIdentity } from '../../sys/process-identity.ts';

export interface TurnPlace {
  /** The agent's own, so that nobody but root can take a lock. */
  directory: string;
  /** In memory: a disk that hangs must not keep the agent from giving a sign, and none is written for it. */
  runDirectory: string;
}

const presencePath = ({ directory }: TurnPlace): string => join(directory, 'agent.lock');
const turnPath = ({ directory }: TurnPlace): string => join(directory, 'governor.lock');
const standInPath = ({ directory }: TurnPlace): string => join(directory, 'stand-in.lock');
const signPath = ({ runDirectory }: TurnPlace): string => join(runDirectory, 'agent-alive');

const letGoMs = 5000;
/** No sign is given more often. */
const signEveryMs = 150;
/** How often the stand-in looks for a sign, and after how many looks in vain it takes the turn. Looks and not time: it may have stood still itself. */
const lookEveryMs = 200;
const looksInVain = 3;

export class AgentTurn implements Disposable {
  readonly place: TurnPlace;
  readonly #presence: FileLock;
  readonly #sign: number;
  #turn: FileLock | null = null;
  #signedAtMs = -Infinity;

  private constructor(place: TurnPlace, presence: FileLock) {
    this.place = place;
    this.#presence = presence;
    this.#sign = openSync(signPath(place), constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  }

  /** A stand-in that does not let go in time stands still: the turn is taken from it, and `onLate` is told. */
  static async take(place: TurnPlace, onLate: () => void, timeoutMs = letGoMs): Promise<AgentTurn> {
    using undo = new DisposableStack();
    const presence = undo.use(await lockFile(presencePath(place)));
    ftruncateSync(presence.fd);
    writeSync(presence.fd, JSON.stringify(identify(process.pid)), 0);
    const turn = new AgentTurn(place, presence);
    await turn.regain(onLate, timeoutMs);
    undo.move();
    return turn;
  }

  /** Gives a sign of life; false when the turn was taken from us meanwhile. May be called as often as one likes. */
  keep(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#signedAtMs < signEveryMs) return this.#turn !== null;
    this.#signedAtMs = nowMs;
    this.#giveSign();
    if (this.#turn?.isLost() !== false) this.#letGo();
    return this.#turn !== null;
  }

  /** After it was taken: as soon as who has it has ended what it had begun. */
  async regain(onLate: () => void, timeoutMs = letGoMs): Promise<void> {
    this.#giveSign();
    const path = turnPath(this.place);
    try {
      this.#turn = await lockFile(path, { timeoutMs });
    } catch (error) {
      if (!(error instanceof CenoteError && error.code === 'timeout')) throw error;
      onLate();
      this.#turn = takeAway(path);
    }
  }

  #giveSign(): void {
    writeSync(this.#sign, '.', 0);
  }

  #letGo(): void {
    this.#turn?.[Symbol.dispose]();
    this.#turn = null;
  }

  [Symbol.dispose](): void {
    this.#letGo();
    closeSync(this.#sign);
    this.#presence[Symbol.dispose]();
  }
}

export interface StandInTurn extends Disposable {
  /** The agent that stands still; null when there is none. */
  readonly beside: ProcessIdentity | null;
  /** An agent is there, or alive again, and wants the turn. */
  isAsked(): boolean;
}

/** The stand-in's side. */
export class StandInTurns {
  readonly #place: TurnPlace;
  #agentEnds: Promise<void> | null = null;

  private constructor(place: TurnPlace) {
    this.#place = place;
  }

  /** As the only one, for good: two would take the turn from each other. */
  static async alone(place: TurnPlace): Promise<StandInTurns> {
    await awaitFileLock(standInPath(place));
    return new StandInTurns(place);
  }

  /** When there is no agent, or none that gives a sign, however long that takes; null when there is one after all. */
  async next(): Promise<StandInTurn | null> {
    const stale = await this.#staleSign();
    const from = stale ?? readSign(this.#place);
    const turn = stale === null ? await awaitFileLock(turnPath(this.#place)) : takeAway(turnPath(this.#place));
    const isAsked = (): boolean => readSign(this.#place) !== from;
    if (turn !== null && !isAsked() && (stale !== null || !isAgentThere(this.#place)))
      return { beside: stale === null ? null : presentAgent(this.#place), isAsked, [Symbol.dispose]: () => turn[Symbol.dispose]() };
    turn?.[Symbol.dispose]();
    return null;
  }

  /** The sign that the agent gave last, when that is too long ago; null when it has ended. */
  async #staleSign(): Promise<number | null> {
    const ends = (this.#agentEnds ??= this.#untilAgentEnds());
    const wake = new AbortController();
    ends.finally(() => wake.abort()).catch(() => {}); // heard below
    let sign = readSign(this.#place);
    for (let inVain = 0; inVain < looksInVain;) {
      await sleep(lookEveryMs, undefined, { signal: wake.signal }).catch(() => {});
      if (wake.signal.aborted) return ends.then(() => null);
      const now = readSign(this.#place);
      inVain = now === sign && now !== noSign ? inVain + 1 : 0;
      sign = now;
    }
    return sign;
  }

  /** One wait in the kernel at a time: it cannot be taken back, and goes on while an agent stands still. */
  async #untilAgentEnds(): Promise<void> {
    try {
      (await awaitFileLock(presencePath(this.#place)))[Symbol.dispose]();
    } finally {
      this.#agentEnds = null;
    }
  }
}

export const isAgentThere = (place: TurnPlace): boolean => {
  using presence = tryLockFile(presencePath(place));
  return presence === null;
};

/** Ends one that has stood still for too long, if it is still there; whoever keeps it running starts it anew. */
export const endAgent = (place: TurnPlace, agent: ProcessIdentity): void => {
  if (isAgentThere(place)) signalProcess(agent, 'SIGKILL');
};

/** Null when it has just ended. */
const presentAgent = (place: TurnPlace): ProcessIdentity | null => {
  const identity = JSON.parse(readFileSync(presencePath(place), 'utf8')) as ProcessIdentity;
  return isAlive(identity) ? identity : null;
};

/** Says nothing either way: whoever removes the file has nobody killed for it. */
const noSign = 0;

/** When the last one was given: the cheapest thing to ask. */
const readSign = (place: TurnPlace): number => statSync(signPath(place), { throwIfNoEntry: false })?.mtimeMs ?? noSign;

/** The lock of one that stands still stays with a file that nobody finds any more. Null when another was first to lock the new one. */
const takeAway = (path: string): FileLock | null => {
  rmSync(path, { force: true });
  return tryLockFile(path);
};
