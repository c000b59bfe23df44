/**
 * Netlink sockets: many requests in one send, each acknowledged on its own. The kernel does the work inside `send`, and may wait
 * there for a lock that a slow delete holds, so sends run on the thread pool; only reading what is already queued is done here.
 */
import { SystemCallError, callAsync, checked, closeFd, declare, isErrno, withHighNumber } from './libc.ts';

const socketFunction = declare('int socket(int family, int type, int protocol)');
const setsockoptFunction = declare('int setsockopt(int fd, int level, int name, const void* value, unsigned int length)');
const sendFunction = declare('long send(int fd, const void* data, size_t length, int flags)');
const recvFunction = declare('long recv(int fd, void* data, size_t length, int flags)');

const afNetlink = 16;
const sockRawCloexec = 3 | 0o2000000;
const solNetlink = 270;
const solSocket = 1;
const options = { capAck: 10, extAck: 11, strictCheck: 12 } as const;
const soRcvBufForce = 33;
const soSndBufForce = 32;
const msgDontWait = 0x40;
export const messageTypes = { error: 2, done: 3 } as const;
/** On the messages of a dump: what is dumped was changed in between (NLM_F_DUMP_INTR). */
const interrupted = 0x10;
/** While links come and go all the time one may be complete at last, or as good as it gets. */
const dumpAttempts = 20;
const headerBytes = 16;
const receiveBytes = 256 * 1024;
/** So much may be sent at once by any socket. */
const usualSendBytes = 64 * 1024;
/** Acknowledgements wait in the receive buffer until the send returns; this many surely fit. */
const batchMessages = 64;

export const netlinkProtocols = { route: 0, netfilter: 12 } as const;
export const netlinkFlags = { request: 1, ack: 4, echo: 8, replace: 0x100, exclusive: 0x200, create: 0x400, dump: 0x300 } as const;

export interface NetlinkRequest {
  type: number;
  flags: number;
  body: Buffer;
}

/** An answer's payload, behind the netlink header. */
export interface NetlinkMessage {
  type: number;
  body: Buffer;
}

/** What one request of a batch came to: `errno` is 0 when it was done. */
export interface NetlinkOutcome {
  errno: number;
  code: string;
  /** The kernel's own words, when it gave any. */
  reason: string;
  messages: NetlinkMessage[];
}

export const align4 = (length: number): number => (length + 3) & ~3;

/** One attribute: length, type, payload, padded to four bytes. */
export const attribute = (type: number, payload: Uint8Array): Buffer => {
  const result = Buffer.alloc(align4(4 + payload.length));
  result.writeUInt16LE(4 + payload.length, 0);
  result.writeUInt16LE(type, 2);
  result.set(payload, 4);
  return result;
};

export const nestedFlag = 0x8000;
export const nested = (type: number, ...inner: Uint8Array[]): Buffer => attribute(type | nestedFlag, Buffer.concat(inner));

export const u8 = (value: number): Buffer => Buffer.from([value]);

export const u32 = (value: number): Buffer => {
  const result = Buffer.alloc(4);
  result.writeUInt32LE(value >>> 0);
  return result;
};

/** As netfilter has its numbers. */
export const u32be = (value: number): Buffer => {
  const result = Buffer.alloc(4);
  result.writeUInt32BE(value >>> 0);
  return result;
};

export const text = (value: string): Buffer => Buffer.from(`${value}\0`);

/** What is in each attribute, also where several have one type; a malformed tail is left out. */
export function* attributesOf(data: Buffer): Generator<Buffer> {
  for (let at = 0; at + 4 <= data.length;) {
    const length = data.readUInt16LE(at);
    if (length < 4 || at + length > data.length) return;
    yield data.subarray(at + 4, at + length);
    at += align4(length);
  }
}

/** Attributes by type; a malformed tail is left out. */
export const parseAttributes = (data: Buffer): Map<number, Buffer> => {
  const result = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= data.length;) {
    const length = data.readUInt16LE(at);
    if (length < 4 || at + length > data.length) break;
    result.set(data.readUInt16LE(at + 2) & 0x3fff, data.subarray(at + 4, at + length));
    at += align4(length);
  }
  return result;
};

/**
 * Where answers are received that are read at once: every socket's, since nothing else of this thread runs meanwhile. One of its own for each
 * socket, of which each start of a machine opens two, would leave half a MiB behind a start, and holes in the C library's memory.
 */
const answers = Buffer.allocUnsafeSlow(receiveBytes);

/** A socket's descriptor, in the namespace that this thread is in now. */
export const openNetlink = (protocol: number): number => {
  const fd = withHighNumber(checked('socket', socketFunction(afNetlink, sockRawCloexec, protocol) as number));
  const one = u32(1);
  for (const option of Object.values(options)) setsockoptFunction(fd, solNetlink, option, one, 4);
  setsockoptFunction(fd, solSocket, soRcvBufForce, u32(4 * 1024 * 1024), 4);
  return fd;
};

/** Sends at once, in this thread: for what the kernel does quickly. More than the socket's buffer holds needs a larger one. */
export const sendNow = (fd: number, data: Buffer): void => {
  if (data.length > usualSendBytes) setsockoptFunction(fd, solSocket, soSndBufForce, u32(2 * data.length), 4);
  checked('netlink send', sendFunction(fd, data, data.length, 0) as number);
};

/** What is queued already; their bytes are overwritten by whoever receives next. Undefined: nothing is. */
export const receiveNow = (fd: number): ReceivedMessage[] | undefined => {
  try {
    return [...split(answers.subarray(0, checked('netlink receive', recvFunction(fd, answers, receiveBytes, msgDontWait) as number)))];
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return undefined;
    throw error;
  }
};

/** A socket in the namespace that this thread is in now. Requests of one socket go one after another. */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  /** Where a scan receives, which goes on while others read theirs. */
  #part: Buffer | undefined;
  #sequence = 1;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(protocol: number) {
    this.#fd = openNetlink(protocol);
  }

  /** Sends all and says for each what became of it; a failed one does not keep the next from being tried. */
  send(requests: readonly NetlinkRequest[]): Promise<NetlinkOutcome[]> {
    return this.#inTurn(async () => {
      const outcomes: NetlinkOutcome[] = [];
      for (let at = 0; at < requests.length; at += batchMessages) outcomes.push(...(await this.#sendBatch(requests.slice(at, at + batchMessages))));
      return outcomes;
    });
  }

  /** Every message of a dump: of one moment, or it is asked for again. */
  async dump(request: NetlinkRequest): Promise<NetlinkMessage[]> {
    for (let attempt = 1; ; attempt += 1) {
      const messages: NetlinkMessage[] = [];
      const isWhole = await this.scan(request, (message) => messages.push({ type: message.type, body: Buffer.from(message.body) }));
      if (isWhole || attempt === dumpAttempts) return messages;
    }
  }

  /**
   * Every message of a dump, one at a time; its bytes are overwritten when `onMessage` has returned. For what may be long. False when what was
   * dumped has changed meanwhile, so that some of it may be missing.
   */
  scan(request: NetlinkRequest, onMessage: (message: NetlinkMessage) => void): Promise<boolean> {
    return this.#inTurn(async () => {
      let isWhole = true;
      const sequence = this.#sequence++;
      const data = encode({ ...request, flags: netlinkFlags.request | netlinkFlags.dump }, sequence);
      await callAsync('netlink send', sendFunction, this.#fd, data, data.length, 0);
      const part = (this.#part ??= Buffer.allocUnsafeSlow(receiveBytes));
      for (;;) {
        const length = await callAsync('netlink receive', recvFunction, this.#fd, part, receiveBytes, 0);
        for (const message of split(part.subarray(0, length))) {
          if (message.sequence !== sequence) continue;
          if ((message.flags & interrupted) !== 0) isWhole = false;
          if (message.type === messageTypes.done) {
            const outcome = message.body.length < 4 ? null : outcomeOf({ ...message, flags: 0 });
            if (outcome !== null && outcome.errno !== 0) throw new NetlinkError('dump', outcome);
            return isWhole;
          }
          if (message.type === messageTypes.error) throw new NetlinkError('dump', outcomeOf(message));
          onMessage(message);
        }
      }
    });
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.#fd);
  }

  async #sendBatch(requests: readonly NetlinkRequest[]): Promise<NetlinkOutcome[]> {
    const first = this.#sequence;
    this.#sequence += requests.length;
    const data = Buffer.concat(
      requests.map((request, index) => encode({ ...request, flags: request.flags | netlinkFlags.request | netlinkFlags.ack }, first + index)),
    );
    await callAsync('netlink send', sendFunction, this.#fd, data, data.length, 0);
    const outcomes: (NetlinkOutcome | undefined)[] = requests.map(() => undefined);
    const messages: NetlinkMessage[][] = requests.map(() => []);
    for (let left = requests.length; left > 0;) {
      const length = checked('netlink receive', recvFunction(this.#fd, answers, receiveBytes, msgDontWait) as number);
      for (const message of split(answers.subarray(0, length))) {
        const index = message.sequence - first;
        if (index < 0 || index >= requests.length) continue;
        if (message.type === messageTypes.error) {
          outcomes[index] = { ...outcomeOf(message), messages: messages[index]! };
          left--;
        } else messages[index]!.push({ type: message.type, body: Buffer.from(message.body) });
      }
    }
    return outcomes as NetlinkOutcome[];
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(() => {
      if (this.#closed) throw new Error('the netlink socket is closed');
      return work();
    });
    this.#last = result.catch(() => {});
    return result;
  }
}

export class NetlinkError extends Error {
  readonly code: string;
  readonly errno: number;

  constructor(what: string, outcome: NetlinkOutcome) {
    super(`${what}: ${outcome.code}${outcome.reason === '' ? '' : ` (${outcome.reason})`}`);
    this.name = 'NetlinkError';
    this.code = outcome.code;
    this.errno = outcome.errno;
  }
}

/** Throws for the first request that failed, except for the errors named as harmless. */
export const demand = (what: string, outcomes: readonly NetlinkOutcome[], ...harmless: string[]): void => {
  const failed = outcomes.find((outcome) => outcome.errno !== 0 && !harmless.includes(outcome.code));
  if (failed !== undefined) throw new NetlinkError(what, failed);
};

/** One message as it is sent. */
export const encode = (request: NetlinkRequest, sequence: number): Buffer => {
  const result = Buffer.alloc(headerBytes + align4(request.body.length));
  result.writeUInt32LE(headerBytes + request.body.length, 0);
  result.writeUInt16LE(request.type, 4);
  result.writeUInt16LE(request.flags, 6);
  result.writeUInt32LE(sequence >>> 0, 8);
  result.set(request.body, headerBytes);
  return result;
};

export interface ReceivedMessage extends NetlinkMessage {
  flags: number;
  sequence: number;
}

function* split(data: Buffer): Generator<ReceivedMessage> {
  for (let at = 0; at + headerBytes <= data.length;) {
    const length = data.readUInt32LE(at);
    if (length < headerBytes || at + length > data.length) return;
    const body = data.subarray(at + headerBytes, at + length);
    yield { type: data.readUInt16LE(at + 4), flags: data.readUInt16LE(at + 6), sequence: data.readUInt32LE(at + 8), body };
    at += align4(length);
  }
}

const hasReason = 0x200;
const capped = 0x100;

/** What an acknowledgement says. */
export const outcomeOf = (message: ReceivedMessage): NetlinkOutcome => {
  const errno = -message.body.readInt32LE(0);
  const outcome = { errno, code: errno === 0 ? 'OK' : new SystemCallError('netlink', errno).code, reason: '', messages: [] };
  if ((message.flags & hasReason) === 0) return outcome;
  // Behind the error number stands the header of the request, and all of the request unless the answer says it is cut.
  const echoed = (message.flags & capped) !== 0 ? headerBytes : align4(message.body.readUInt32LE(4));
  const words = parseAttributes(message.body.subarray(4 + echoed)).get(1);
  return words === undefined ? outcome : { ...outcome, reason: words.toString('latin1').replace(/\0.*$/s, '') };
};
