/** Other sizes of machines, many at a time: each is told of as soon as it is done, and waits for no slower one. */
import { Readable } from 'node:stream';
import { asCenoteError, messageChain } from '../../base/errors.ts';
import { jsonLine, jsonLinesType } from '../../base/json-lines.ts';
import type { Logger } from '../../base/logger.ts';
import { MachineResizes } from '../../model/agent-api.ts';
import type { MachineResize, ResizeOutcome } from '../../model/agent-api.ts';
import type { Machines } from '../machines.ts';
import type { AgentRoutes } from './server.ts';

export const resizeRoutes: AgentRoutes = (app, { host, machines }) => {
  app.post<{ Body: MachineResizes }>('/v1/resizes', { schema: { body: MachineResizes } }, ({ body }, reply) =>
    reply.type(jsonLinesType).send(outcomesOf(machines, body, host.logger)),
  );
};

/** Lines of what one sync of the journal has ended go together. */
const outcomesOf = (machines: Machines, asked: readonly MachineResize[], logger: Logger): Readable => {
  const stream = new Readable({ read: () => {} });
  let [lines, left] = ['', asked.length];
  const flush = (): void => {
    stream.push(lines);
    lines = '';
    if (left === 0) stream.push(null);
  };
  const tell = (outcome: ResizeOutcome): void => {
    if (lines === '') process.nextTick(flush);
    lines += jsonLine(outcome);
    left -= 1;
  };
  for (const [index, one] of asked.entries()) void outcomeOf(machines, one, index, logger).then(tell);
  return stream;
};

const outcomeOf = async (machines: Machines, asked: MachineResize, index: number, logger: Logger): Promise<ResizeOutcome> => {
  try {
    return { index, status: await machines.resize(asked) };
  } catch (error) {
    const known = asCenoteError(error);
    if (known.code === 'internal') logger.error({ machine: asked.id, error: messageChain(error), stack: known.stack }, 'a resize failed');
    return { index, error: known.toBody() };
  }
};
