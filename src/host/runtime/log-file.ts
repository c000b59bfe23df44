/**
 * A machine's output as conmon writes it: lines `TIME STREAM TAG TEXT`, tag P for a piece of a longer line. The file in use is
 * `current`; the one before it `previous`. Reading is by position, so that following costs only what is new.
 */
import { watch } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogLine } from '../../model/agent-api.ts';
import { isErrno } from '../../sys/libc.ts';

const chunkBytes = 64 * 1024;
export const currentName = 'current';
export const previousName = 'previous';

/** Turns conmon's lines into whole ones. Pieces of a line are joined as long as they come one after another on one stream. */
export class LogParser {
  #rest = '';
  #partial: LogLine | null = null;

  *push(text: string): Generator<LogLine> {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const match = /^(\S+) (stdout|stderr) ([FP])(?: |$)(.*)$/s.exec(line);
      if (match === null) continue;
      const [, at, stream, tag, content] = match as unknown as [string, string, 'stdout' | 'stderr', 'F' | 'P', string];
      const joined: LogLine = this.#partial?.stream === stream ? { ...this.#partial, text: this.#partial.text + content } : { at, stream, text: content };
      // A line without an end must not grow in memory for ever.
      if (tag === 'P' && joined.text.length < 1024 * 1024) {
        this.#partial = joined;
      } else {
        this.#partial = null;
        yield joined;
      }
    }
  }

  /** The last line when the output ended without a line feed. */
  *end(): Generator<LogLine> {
    if (this.#partial !== null) yield this.#partial;
    this.#partial = null;
  }
}

/** All lines of a file from a position on; gives back where it stopped. */
async function* readFrom(file: FileHandle, parser: LogParser, from: { position: number }): AsyncGenerator<LogLine> {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  const decoder = new TextDecoder('utf-8');
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, from.position);
    if (bytesRead === 0) return;
    from.position += bytesRead;
    yield* parser.push(decoder.decode(buffer.subarray(0, bytesRead), { stream: true }));
  }
}

const openIfPresent = async (path: string): Promise<FileHandle | null> => {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
};

export interface LogOptions {
  follow: boolean;
  /** Only this many last lines of what is there; null is all. */
  tail: number | null;
  signal: AbortSignal;
}

/** What is there, oldest first, then what comes, until the signal. */
export async function* readLog(directory: string, options: LogOptions): AsyncGenerator<LogLine> {
  await using watcher = options.follow ? new Wake(directory, options.signal) : null;
  const parser = new LogParser();
  const kept: LogLine[] = [];
  let file: FileHandle | null = null;
  const from = { position: 0 };
  try {
    for (const name of [previousName, currentName]) {
      await file?.close();
      file = await openIfPresent(join(directory, name));
      from.position = 0;
      if (file === null) continue;
      for await (const line of readFrom(file, parser, from)) {
        if (options.signal.aborted) return;
        if (options.tail === null) yield line;
        else if (options.tail > 0) {
          kept.push(line);
          if (kept.length > options.tail * 2 + 64) kept.splice(0, kept.length - options.tail);
        }
      }
    }
    if (options.tail !== null && options.tail > 0) yield* kept.slice(-options.tail);
    while (watcher !== null && !options.signal.aborted) {
      if (file !== null) yield* readFrom(file, parser, from);
      const rotated = await openRotated(directory, file);
      if (rotated !== null) {
        await file?.close();
        file = rotated;
        from.position = 0;
        continue;
      }
      await watcher.wait();
    }
    yield* parser.end();
  } finally {
    await file?.close();
  }
}

/** The file now called `current`, when that is another than the open one. */
const openRotated = async (directory: string, file: FileHandle | null): Promise<FileHandle | null> => {
  try {
    const now = await stat(join(directory, currentName));
    if (file !== null && (await file.stat()).ino === now.ino) return null;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
  return openIfPresent(join(directory, currentName));
};

/** Wakes when something in the directory changed; a change between two waits is not lost. */
class Wake implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal;
  readonly #stir = () => {
    this.#changed = true;
    this.#wake?.();
  };
  #changed = false;
  #wake: (() => void) | null = null;

  constructor(directory: string, signal: AbortSignal) {
    this.#signal = signal;
    watch(directory, { signal: this.#controller.signal, persistent: false }, this.#stir).on('error', this.#stir);
    signal.addEventListener('abort', this.#stir, { once: true });
  }

  async wait(): Promise<void> {
    if (!this.#changed) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#changed = false;
    this.#wake = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    this.#signal.removeEventListener('abort', this.#stir);
  }
}
