/**
 * Commands into a virtual host and their output back, over virtio ports that are unix sockets on this side (guest/serve.sh is the
 * other end). A port runs one command at a time; a call waits for a free one.
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface GuestResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface GuestRunOptions {
  timeoutMs?: number | undefined;
  /** Each line of standard output as it comes. */
  onLine?: ((line: string) => void) | undefined;
}

interface Command {
  text: string;
  options: GuestRunOptions;
  done: PromiseWithResolvers<GuestResult>;
}

/** Names of the virtio ports, as the guest finds them. */
export const ports = ['command0', 'command1', 'command2'];

const defaultTimeoutMs = 60_000;
/** More than the guest's own limit, which ends the command itself and so keeps the port usable. */
const lateMs = 30_000;

export class Channel {
  readonly #ports: Port[];
  readonly #waiting: Command[] = [];
  #closed: Error | null = null;

  constructor(sockets: readonly string[]) {
    this.#ports = sockets.map((path) => new Port(connect(path), () => this.#next()));
  }

  run(text: string, options: GuestRunOptions = {}): Promise<GuestResult> {
    const done = Promise.withResolvers<GuestResult>();
    if (this.#closed === null) this.#waiting.push({ text, options, done });
    else done.reject(this.#closed);
    this.#next();
    return done.promise;
  }

  /** Every command that has not ended is rejected with `reason`. */
  close(reason: Error): void {
    this.#closed ??= reason;
    for (const { done } of this.#waiting.splice(0)) done.reject(this.#closed);
    for (const port of this.#ports) port.close(this.#closed);
  }

  #next(): void {
    for (const port of this.#ports) {
      if (port.busy) continue;
      const command = this.#waiting.shift();
      if (command === undefined) return;
      port.start(command);
    }
  }
}

class Port {
  readonly #socket: Socket;
  readonly #onFree: () => void;
  #received: Buffer = Buffer.alloc(0);
  /** How much of what was received has been told as lines. */
  #told = 0;
  #command: (Command & { nonce: string; timer: NodeJS.Timeout }) | null = null;

  constructor(socket: Socket, onFree: () => void) {
    this.#socket = socket;
    this.#onFree = onFree;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', () => {}); // the process that holds the other end is watched
  }

  get busy(): boolean {
    return this.#command !== null;
  }

  start(command: Command): void {
    const timeoutMs = command.options.timeoutMs ?? defaultTimeoutMs;
    const nonce = randomBytes(12).toString('hex');
    const timer = setTimeout(() => {
      // The port stays taken: what comes late must not be read as the next command's.
      command.done.reject(new Error(`the virtual host did not answer within ${timeoutMs + lateMs} ms: ${command.text.slice(0, 200)}`));
    }, timeoutMs + lateMs);
    this.#command = { ...command, nonce, timer };
    this.#received = Buffer.alloc(0);
    this.#told = 0;
    this.#socket.write(`${nonce} ${Math.ceil(timeoutMs / 1000)} ${Buffer.from(command.text).toString('base64')}\n`);
  }

  close(reason: Error): void {
    if (this.#command !== null) {
      clearTimeout(this.#command.timer);
      this.#command.done.reject(reason);
    }
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    if (this.#command === null) return; // a program left in the background has written
    this.#received = Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf(`\n${this.#command.nonce} `);
    this.#tell(end === -1 ? this.#received.length : end + 1);
    const endOfLine = end === -1 ? -1 : this.#received.indexOf('\n', end + 1);
    if (endOfLine === -1) return;
    const [, code, errorSize] = this.#received
      .subarray(end + 1, endOfLine)
      .toString()
      .split(' ');
    if (this.#received.length < endOfLine + 1 + Number(errorSize)) return;
    const { done, timer } = this.#command;
    clearTimeout(timer);
    this.#command = null;
    done.resolve({
      code: Number(code),
      stdout: this.#received.subarray(0, end).toString(),
      stderr: this.#received.subarray(endOfLine + 1, endOfLine + 1 + Number(errorSize)).toString(),
    });
    this.#onFree();
  }

  #tell(upTo: number): void {
    const onLine = this.#command?.options.onLine;
    if (onLine === undefined || upTo <= this.#told) return;
    const last = this.#received.subarray(0, upTo).lastIndexOf('\n');
    if (last < this.#told) return;
    const lines = this.#received.subarray(this.#told, last).toString().split('\n');
    this.#told = last + 1;
    for (const line of lines) onLine(line);
  }
}
