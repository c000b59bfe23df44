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

export const createLogger = (options: LoggerOptions): Logger =>
  pino(
    { name: options.name, level: options.level ?? 'info', timestamp: pino.stdTimeFunctions.isoTime },
    options.destination ?? pino.destination({ dest: 1, sync: true }),
  );
