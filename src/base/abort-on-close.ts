/** Whoever has asked and goes. */
import type { ServerResponse } from 'node:http';

/**
 * Aborts when the client goes before it has its answer, or has gone already. A response is closed once; its socket is kept for many more, and
 * listeners of each would gather on it.
 */
export const abortOnClose = (response: ServerResponse): AbortSignal => {
  const gone = new AbortController();
  const look = (): void => {
    if (!response.writableFinished) gone.abort();
  };
  response.on('close', look);
  if (response.closed) look();
  return gone.signal;
};
