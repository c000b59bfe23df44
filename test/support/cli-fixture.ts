/**
 * The command line's world in a test: the real launcher, the real control plane, and a simulated agent in front of which stands a server
 * that has files, output and exec to show: files in memory, and for exec a handful of commands that need no host.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { extract, pack as tarPack } from 'tar-stream';
import type { Header } from 'tar-stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { jsonLine } from '../../src/base/json-lines.ts';
import { runAny } from '../../src/exec/run.ts';
import type { RunResult } from '../../src/exec/run.ts';
import { execChannel } from '../../src/model/agent-api.ts';
import type { ExecResize, ExecStart, LogLine } from '../../src/model/agent-api.ts';
import type { CloudApiOptions } from '../../src/control/cloudapi/start.ts';
import { startControl } from '../../src/control/start.ts';
import { quietLogger } from './control-fixture.ts';
import { SimulatedAgent } from './simulated-agent.ts';

export const launcher = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'cenote');

interface File {
  header: Header;
  content: Buffer;
}

/** Passes everything to the simulated agent but files, logs and exec. */
class FrontAgent implements AsyncDisposable {
  /** By machine and absolute path. */
  readonly files = new Map<string, Map<string, File>>();
  /** By machine; whoever follows is told of more with `say`. */
  readonly logs = new Map<string, LogLine[]>();
  readonly execs: ExecStart[] = [];
  /** What PUT files is answered; `wait` is no answer at all. */
  uploads: 'take' | 'refuse' | 'wait' = 'take';
  /** So many have begun that wait. */
  waiting = 0;
  readonly #behind: string;
  readonly #server: Server;
  readonly #webSockets = new WebSocketServer({ noServer: true });
  readonly #sockets = new Set<Duplex>();
  readonly #followers = new Set<{ machine: string; response: ServerResponse }>();

  constructor(behind: string) {
    this.#behind = behind;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('upgrade', (request, socket, head) => {
      this.#sockets.add(socket);
      this.#webSockets.handleUpgrade(request, socket, head, (session) => this.#exec(session));
    });
  }

  async listen(path: string): Promise<void> {
    this.#server.listen(path);
    await once(this.#server, 'listening');
  }

  say(machine: string, text: string, stream: LogLine['stream'] = 'stdout'): void {
    const line = { at: new Date().toISOString(), stream, text };
    this.logs.set(machine, [...(this.logs.get(machine) ?? []), line]);
    for (const follower of this.#followers) if (follower.machine === machine) follower.response.write(jsonLine(line));
  }

  /** As an agent that is killed: what follows output is cut off, and for a while nobody answers. */
  async away(whileAway: () => void): Promise<void> {
    const path = this.#server.address() as string;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    whileAway();
    await this.listen(path);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, 'http://agent');
    const match = /^\/v1\/machines\/([^/]+)\/(files|logs)$/.exec(url.pathname);
    if (match?.[2] === 'logs') return this.#logs(match[1]!, url, response);
    if (match?.[2] === 'files' && request.method === 'PUT') return this.#put(match[1]!, url.searchParams.get('path')!, request, response);
    if (match?.[2] === 'files') return this.#get(match[1]!, url.searchParams.get('path')!, response);
    const behind = httpRequest({ socketPath: this.#behind, method: request.method, path: request.url, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    behind.on('error', () => response.destroy());
    response.on('close', () => behind.destroy());
    request.pipe(behind);
  }

  #logs(machine: string, url: URL, response: ServerResponse): void {
    const all = this.logs.get(machine) ?? [];
    const tail = url.searchParams.get('tail');
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.flushHeaders();
    for (const line of tail === null ? all : all.slice(Math.max(0, all.length - Number(tail)))) response.write(jsonLine(line));
    if (url.searchParams.get('follow') !== 'true') return void response.end();
    const follower = { machine, response };
    this.#followers.add(follower);
    response.on('close', () => this.#followers.delete(follower));
  }

  async #put(machine: string, path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.uploads === 'wait') return void (this.waiting += 1);
    if (this.uploads === 'refuse') {
      request.resume();
      response.writeHead(409, { 'content-type': 'application/json' }).end(JSON.stringify({ code: 'not_enough', message: 'the disk quota of 16M is used up' }));
      return;
    }
    const files = this.files.get(machine) ?? new Map<string, File>();
    this.files.set(machine, files);
    const archive = extract();
    request.pipe(archive);
    for await (const entry of archive) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
      files.set(join(path, entry.header.name).replace(/\/$/, ''), { header: entry.header, content: Buffer.concat(chunks) });
    }
    response.writeHead(204).end();
  }

  #get(machine: string, path: string, response: ServerResponse): void {
    const files = this.files.get(machine) ?? new Map<string, File>();
    const asked = path.replace(/(?<=.)\/$/, '');
    const found = [...files].filter(([name]) => name === asked || name.startsWith(`${asked}/`));
    if (found.length === 0) {
      response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ code: 'not_found', message: `${path}: no such file or directory` }));
      return;
    }
    response.writeHead(200, { 'content-type': 'application/x-tar' });
    const archive = tarPack();
    const single = files.get(asked);
    // As the agent does: a file under its own name, a directory as `.`.
    if (single !== undefined && single.header.type !== 'directory') archive.entry({ ...single.header, name: basename(asked) }, single.content);
    else {
      archive.entry({ name: './', type: 'directory' });
      for (const [name, { header, content }] of found.toSorted(([one], [other]) => (one < other ? -1 : 1))) {
        if (name !== asked) archive.entry({ ...header, name: `.${name.slice(asked === '/' ? 0 : asked.length)}` }, content);
      }
    }
    archive.finalize();
    (archive as unknown as NodeJS.ReadableStream).pipe(response);
  }

  /** `echo`, `error`, `exit`, `cat`, `size` (says the window's size, and again when it changes; a `q` ends it with 3), `missing`, `hang`. */
  #exec(session: WebSocket): void {
    const send = (channel: number, text: string | Buffer): void => session.send(Buffer.concat([Buffer.of(channel), Buffer.from(text)]));
    const exit = (code: number): void => {
      send(execChannel.exit, JSON.stringify({ code }));
      session.close();
    };
    let asked: ExecStart | undefined;
    const start = (what: ExecStart): void => {
      this.execs.push((asked = what));
      const [program, ...words] = what.command;
      if (program === 'echo') send(execChannel.stdout, `${words.join(' ')}\n`);
      if (program === 'error') send(execChannel.stderr, `${words.join(' ')}\n`);
      if (program === 'size') send(execChannel.stdout, `${what.columns}x${what.rows}\r\n`);
      if (program === 'echo' || program === 'error') exit(0);
      if (program === 'exit') exit(Number(words[0]));
      if (program === 'missing') {
        send(execChannel.exit, JSON.stringify({ code: 127, error: 'missing: there is no such program' }));
        session.close();
      }
    };
    session.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) return start(JSON.parse(data.toString()) as ExecStart);
      const payload = data.subarray(1);
      const program = asked?.command[0];
      if (data[0] === execChannel.stdin && program === 'cat') send(execChannel.stdout, payload);
      if (data[0] === execChannel.stdinEnd && program === 'cat') exit(0);
      if (data[0] === execChannel.stdin && program === 'size') {
        if (payload.includes('q')) exit(3);
        else send(execChannel.stdout, `key ${payload.toString('hex')}\r\n`);
      }
      if (data[0] === execChannel.resize && program === 'size') {
        const { columns, rows } = JSON.parse(payload.toString()) as ExecResize;
        send(execChannel.stdout, `now ${columns}x${rows}\r\n`);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

export interface CliResult extends RunResult {
  /** Standard output as JSON. */
  json<T>(): T;
}

export interface RunningCli {
  pid: number;
  output(): string;
  errors(): string;
  write(text: string): void;
  /** Its exit code. */
  ended: Promise<number | null>;
}

export interface CliFixture extends AsyncDisposable {
  root: string;
  /** For files of the test. */
  directory: string;
  simulated: SimulatedAgent;
  front: FrontAgent;
  /** Runs the launcher to its end. */
  cenote(...words: string[]): Promise<CliResult>;
  cenoteWith(options: { input?: string | Uint8Array; env?: Record<string, string> }, ...words: string[]): Promise<CliResult>;
  /** Starts it and leaves it running; ended with the fixture at the latest. */
  start(...words: string[]): RunningCli;
  stopControl(): Promise<void>;
  startControl(): Promise<void>;
}

export const succeeded = (result: CliResult): CliResult => {
  assert.equal(result.code, 0, `${result.stdout}${result.stderr}`);
  return result;
};

/** It said why, as errors are told. */
export const failed = (result: CliResult, code: number, message: RegExp): CliResult => {
  assert.equal(result.code, code, `${result.stdout}${result.stderr}`);
  assert.match(result.stderr, message);
  assert.match(result.stderr, /^cenote: /m);
  return result;
};

/** The launcher with its input open; what still runs when the stack is disposed of is killed. */
export const startLauncher = (stack: AsyncDisposableStack, words: readonly string[], env: Record<string, string>, cwd: string): RunningCli => {
  const child = spawn(launcher, words, { env, cwd });
  stack.defer(() => void child.kill('SIGKILL'));
  const text = { output: '', errors: '' };
  child.stdout.on('data', (chunk: Buffer) => (text.output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text.errors += chunk.toString()));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { pid: child.pid!, output: () => text.output, errors: () => text.errors, write: (input) => void child.stdin.write(input), ended };
};

export const cliFixture = async (cloudapi?: CloudApiOptions): Promise<CliFixture> => {
  await using stack = new AsyncDisposableStack();
  const root = await mkdtemp(join(tmpdir(), 'cenote-cli-'));
  stack.defer(() => rm(root, { recursive: true, force: true }));
  const directory = join(root, 'files');
  await mkdir(join(root, 'run'));
  await mkdir(directory);
  const simulated = stack.use(new SimulatedAgent(join(root, 'simulated.sock')));
  await simulated.start();
  const front = stack.use(new FrontAgent(join(root, 'simulated.sock')));
  await front.listen(join(root, 'run', 'agent.sock'));
  const begin = (): Promise<AsyncDisposable> =>
    startControl({
      root,
      socketPath: join(root, 'run', 'control.sock'),
      agentSocketPath: join(root, 'run', 'agent.sock'),
      database: join(root, 'store.sqlite'),
      adminGids: [],
      logger: quietLogger(),
      ...(cloudapi === undefined ? {} : { cloudapi }),
      beginAnew: () =>
        void stopControl().then(async () => {
          control = await begin();
        }),
    });
  let control: AsyncDisposable | undefined = await begin();
  const stopControl = async (): Promise<void> => {
    await control?.[Symbol.asyncDispose]();
    control = undefined;
  };
  stack.defer(stopControl);
  const moved = stack.move();
  const env = { PATH: process.env['PATH']!, HOME: root, CENOTE_NODE: process.execPath };
  const cenoteWith: CliFixture['cenoteWith'] = async (options, ...words) => {
    const result = await runAny(launcher, ['--root', root, ...words], {
      input: options.input,
      env: { ...env, ...options.env },
      cwd: directory,
      timeoutMs: 60_000,
    });
    return { ...result, json: <T>() => JSON.parse(result.stdout) as T };
  };
  const start: CliFixture['start'] = (...words) => startLauncher(moved, ['--root', root, ...words], env, directory);
  return {
    root,
    directory,
    simulated,
    front,
    cenote: (...words) => cenoteWith({}, ...words),
    cenoteWith,
    start,
    stopControl,
    startControl: async () => {
      control = await begin();
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
};
