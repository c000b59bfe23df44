/** The SSH agent, which signs with keys that it does not give away (draft-ietf-sshm-ssh-agent). */
import { connect } from 'node:net';
import { CenoteError, messageOf } from '../../base/errors.ts';
import { publicKeyOf } from './public-key.ts';
import type { PublicKey } from './public-key.ts';
import { WireReader, wireInteger, wireNumber, wireString } from './wire.ts';

const message = { listKeys: 11, keys: 12, sign: 13, signature: 14 } as const;
const rsaSha256 = 2;
const mostBytes = 256 * 1024;
/** Some agents ask a person first. */
const answerMs = 60_000;

/** Those of its keys that the control plane takes. */
export const agentKeys = async (socketPath: string): Promise<PublicKey[]> => {
  const answer = new WireReader(await ask(socketPath, Buffer.of(message.listKeys), message.keys));
  const keys: PublicKey[] = [];
  for (let left = answer.number(); left > 0; left--) {
    const key = publicKeyOf(answer.string());
    answer.string();
    if (key !== undefined) keys.push(key);
  }
  return keys;
};

export const agentSign = async (socketPath: string, { blob, algorithm }: PublicKey, data: Buffer): Promise<Buffer> => {
  const flags = wireNumber(algorithm === 'rsa-sha256' ? rsaSha256 : 0);
  const answer = await ask(socketPath, Buffer.concat([Buffer.of(message.sign), wireString(blob), wireString(data), flags]), message.signature);
  const signature = new WireReader(new WireReader(answer).string());
  const kind = signature.text();
  if (algorithm === 'rsa-sha256' && kind !== 'rsa-sha2-256') throw new CenoteError('unsupported', `the SSH agent signs with ${kind} only, which is not taken`);
  const value = signature.string();
  return algorithm.startsWith('ecdsa') ? derOf(new WireReader(value)) : value;
};

/** Two numbers, as X.509 and HTTP signatures have them. */
const derOf = (pair: WireReader): Buffer => {
  const one = (): Buffer => {
    const digits = wireInteger(pair.string()).subarray(4);
    return Buffer.concat([Buffer.of(2, digits.length), digits]);
  };
  const content = Buffer.concat([one(), one()]);
  return Buffer.concat([content.length < 128 ? Buffer.of(0x30, content.length) : Buffer.of(0x30, 0x81, content.length), content]);
};

/** One question, one connection; the answer without its kind. */
const ask = (socketPath: string, question: Buffer, expected: number): Promise<Buffer> => {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const refuse = (what: string, cause?: unknown): void =>
    reject(
      new CenoteError('unavailable', `the SSH agent ${what}`, {
        cause,
        advice: `see whether it runs and has the key: ssh-add -l (SSH_AUTH_SOCK is ${socketPath})`,
      }),
    );
  const socket = connect(socketPath);
  let received = Buffer.alloc(0);
  socket.setTimeout(answerMs, () => socket.destroy(new Error(`said nothing for ${answerMs / 1000} s`)));
  socket.on('error', (error) => refuse(`does not answer: ${messageOf(error)}`, error));
  socket.on('close', () => refuse('ended the connection'));
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (received.length < 5) return;
    const length = received.readUInt32BE();
    if (length > mostBytes || length === 0) refuse(`answered with ${length} bytes`);
    else if (received.length < 4 + length) return;
    else if (received[4] !== expected) refuse('refused: the key is not there, or it was not allowed');
    else resolve(received.subarray(5, 4 + length));
    socket.destroy();
  });
  socket.write(Buffer.concat([wireNumber(question.length), question]));
  return promise;
};
