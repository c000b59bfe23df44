/** Structured logs: one JSON object a line. A logger is always passed in; nothing logs on its own. */
import { pino } from 'pino';
import type { DestinationStream, Logger as PinoLogger } from 'pino';

export type Logger = PinoLogger;

export interface LoggerOptions {
  /** The process: `agent`, `control`, `setup`. */
  name: string;
  level?: string | undefined;
  destination?: DestinationStream | undefined;
}

/** Of what could not be written, so that what was told while a disk was full can be read later. A line longer than that is lost in any case. */
const keptBytes = 1024 * 1024;

/** A file or a descriptor that may be full: lines are late then or lost, and nothing else comes of it. */
export const logTo = (dest: string | number): DestinationStream => {
  // Each line is written at once; with a least length of none `flush` would do nothing.
  const destination = pino.destination({ dest, append: true, sync: true, minLength: 1, maxLength: keptBytes });
  // pino's own listener lets all but EPIPE come out of the call that logs.
  destination.on('error', () => {});
  // One that holds all it may does not try again by itself, also when there is room.
  destination.on('drop', () => destination.flush());
  // Called after a fatal line, which has been tried by then: it would wait for room for ever.
  destination.flushSync = () => {};
  return destination;
};

export const createLogger = (options: LoggerOptions): Logger =>
  pino({ name: options.name, level: options.level ?? 'info', timestamp: pino.stdTimeFunctions.isoTime }, options.destination ?? logTo(1));
