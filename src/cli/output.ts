/** All the command line writes: results on standard output, everything else on standard error. The only place that touches either. */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import type { CenoteError } from '../base/errors.ts';
import type { CliConfig } from './config.ts';
import { printable, renderTable } from './table.ts';
import type { Column } from './table.ts';

const colours: Record<string, number> = {
  running: 32,
  healthy: 32,
  succeeded: 32,
  failed: 31,
  unhealthy: 31,
  provisioning: 33,
  stopping: 33,
  deleting: 33,
  queued: 33,
  starting: 33,
};

export interface Progress extends Disposable {
  /** What is being done now. */
  update(text: string): void;
}

export class Output {
  readonly #config: CliConfig;
  #spinner: Spinner | undefined;

  constructor(config: CliConfig) {
    this.#config = config;
  }

  get stdoutIsTerminal(): boolean {
    return process.stdout.isTTY === true;
  }

  get size(): { columns: number; rows: number } {
    const terminal = process.stdout.isTTY ? process.stdout : process.stderr;
    return { columns: terminal.columns || 80, rows: terminal.rows || 24 };
  }

  line(text: string): void {
    this.#spinner?.clear();
    process.stdout.write(`${text}\n`);
  }

  json(value: unknown): void {
    this.line(JSON.stringify(value, null, 2));
  }

  /** One value a line, for streams. */
  jsonLine(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], options: { header?: boolean } = {}): void {
    this.#spinner?.clear();
    const lines = renderTable(rows, columns, { ...options, dress: (text, title) => this.state(text, title) });
    if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
  }

  /** A state's word in its colour, where colour is shown. */
  state(text: string, title = 'STATE'): string {
    const colour = ['STATE', 'HEALTH'].includes(title) ? colours[text.split(' ', 1)[0]!] : undefined;
    return colour === undefined || !this.#config.colour || !this.stdoutIsTerminal ? text : `\u001b[${colour}m${text}\u001b[0m`;
  }

  /** Bytes of a stream, as they are; resolves when the reader has room for more. */
  async bytes(chunk: Uint8Array, to: 'stdout' | 'stderr' = 'stdout'): Promise<void> {
    this.#spinner?.clear();
    const stream = to === 'stdout' ? process.stdout : process.stderr;
    if (!stream.write(chunk)) await once(stream, 'drain');
  }

  /** Something worth knowing that is not the result. */
  note(text: string): void {
    this.#spinner?.clear();
    process.stderr.write(`${text}\n`);
  }

  error(error: CenoteError): void {
    this.note(`cenote: ${oneLine(error.message)}`);
    if (error.advice !== undefined) this.note(oneLine(error.advice));
    if (this.#config.debug) this.note(error.cause instanceof Error ? String(error.cause.stack) : String(error.stack));
  }

  /** A line on a terminal's standard error that shows, after a second, that something is under way; ends with `using`. */
  progress(text: string): Progress {
    const spinner = new Spinner(text);
    this.#spinner = spinner;
    return {
      update: (next) => spinner.update(next),
      [Symbol.dispose]: () => {
        spinner.stop();
        if (this.#spinner === spinner) this.#spinner = undefined;
      },
    };
  }

  /** Takes the whole terminal for something that redraws itself; gives it back with `using`. */
  screen(): Disposable & { draw(lines: readonly string[]): void } {
    // The other screen, cursor hidden; written synchronously on the way back, so that it happens on every exit.
    process.stdout.write('\u001b[?1049h\u001b[?25l');
    return {
      draw: (lines) => {
        process.stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join('\n')}\u001b[J`);
      },
      [Symbol.dispose]: () => {
        writeSync(1, '\u001b[?25h\u001b[?1049l');
      },
    };
  }
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

class Spinner {
  #text: string;
  #frame = 0;
  #drawn = false;
  readonly #start: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(text: string) {
    this.#text = text;
    if (process.stderr.isTTY !== true) return;
    this.#start = setTimeout(() => {
      this.#timer = setInterval(() => this.#draw(), 100);
      this.#timer.unref();
      this.#draw();
    }, 1000);
    this.#start.unref();
  }

  update(text: string): void {
    this.#text = text;
    if (this.#drawn) this.#draw();
  }

  clear(): void {
    if (this.#drawn) process.stderr.write('\r\u001b[K');
    this.#drawn = false;
  }

  stop(): void {
    clearTimeout(this.#start);
    clearInterval(this.#timer);
    this.clear();
  }

  #draw(): void {
    const width = (process.stderr.columns || 80) - 3;
    process.stderr.write(`\r${frames[this.#frame++ % frames.length]} ${printable(this.#text).slice(0, width)}\u001b[K`);
    this.#drawn = true;
  }
}

/** A server's message on one line, without what could move a terminal's cursor. */
const oneLine = (text: string): string => printable(text.replaceAll(/\s*\n\s*/g, '; '));

/** A reader that has seen enough (`cenote ls | head`) is no error, and nothing more need be done for it. */
export const endWithReader = (): void => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      writeSync(2, `cenote: what there is to say cannot be written: ${error.message}\n`);
      process.exit(1);
    });
  }
};
