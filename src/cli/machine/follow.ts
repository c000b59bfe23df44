/** A machine's output, line by line: what it wrote to standard output to ours, what it wrote to standard error to ours. */
import type { LogLine } from '../../model/agent-api.ts';
import type { Context } from '../context.ts';

export interface FollowOptions {
  follow: boolean;
  tail?: number | undefined;
  timestamps?: boolean;
  json?: boolean;
  signal: AbortSignal;
  /** Lines already shown. */
  skip?: number;
}

/** Resolves with the number of lines seen when the stream ends or the signal comes. */
export const followLogs = async (context: Context, machineId: string, options: FollowOptions): Promise<number> => {
  const { jsonLines } = await import('../../client/http.ts');
  const control = await context.control();
  let seen = 0;
  const show = async (line: LogLine): Promise<void> => {
    if (++seen <= (options.skip ?? 0)) return;
    if (options.json === true) return context.output.jsonLine(line);
    await context.output.bytes(Buffer.from(`${options.timestamps === true ? `${line.at} ` : ''}${line.text}\n`), line.stream);
  };
  try {
    const query = { ...(options.follow ? { follow: true } : {}), ...(options.tail === undefined ? {} : { tail: options.tail }) };
    const response = await control.logs(machineId, query, { signal: options.signal });
    for await (const lines of jsonLines<LogLine>(response)) for (const line of lines) await show(line);
  } catch (error) {
    if (!options.signal.aborted) throw error;
  }
  return seen;
};
