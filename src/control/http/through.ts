/** Streams piped through between client and agent, both ways, with back-pressure; when one side goes, so does the other. */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { abortOnClose } from '../../base/abort-on-close.ts';
import { jsonLine } from '../../base/json-lines.ts';
import type { Query } from '../../client/http.ts';
import type { Control } from '../control.ts';
import type { AgentLink } from '../agent/link.ts';

const passedOn = ['content-type', 'content-length'] as const;

export interface Through {
  method: string;
  path: string;
  query?: Query;
  json?: unknown;
  /** Send the client's body on. */
  upload?: boolean;
}

export const passThrough = async ({ agent, link }: Control, request: FastifyRequest, reply: FastifyReply, through: Through): Promise<void> => {
  const { method, path, query, json, upload } = through;
  const response = await whileAnswering(link, (answering) =>
    agent.http.send(method, path, {
      query,
      json,
      signal: AbortSignal.any([abortOnClose(reply.raw), answering]),
      ...(upload === true ? { stream: request.raw, headers: headersOf(request.raw, passedOn) } : {}),
    }),
  );
  await sendStream(reply, response, response.statusCode!, headersOf(response, passedOn));
};

/** A call of the agent that may take any time; ends with the reason when the agent is found to stand still. */
export const whileAnswering = async <Result>({ answering }: AgentLink, call: (answering: AbortSignal) => Promise<Result>): Promise<Result> => {
  try {
    return await call(answering);
  } catch (error) {
    throw answering.aborted ? answering.reason : error;
  }
};

const headersOf = (message: IncomingMessage, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.flatMap((name) => (typeof message.headers[name] === 'string' ? [[name, message.headers[name]]] : [])));

/** Takes the answer out of fastify's hands; a stream that breaks half way ends the connection, which the client sees as an error. */
export const sendStream = async (reply: FastifyReply, source: Readable, status: number, headers: Record<string, string>): Promise<void> => {
  reply.hijack();
  reply.raw.writeHead(status, headers);
  reply.raw.flushHeaders();
  await pipeline(source, reply.raw).catch(() => reply.raw.destroy());
};

export const linesOf = <T>(batches: AsyncIterable<T[]>): Readable =>
  Readable.from(
    (async function* () {
      for await (const batch of batches) yield batch.map(jsonLine).join('');
    })(),
    { objectMode: false },
  );
