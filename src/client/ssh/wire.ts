/** SSH's own encoding of keys, signatures and what is said to its agent: big-endian lengths before everything. */
import { CenoteError } from '../../base/errors.ts';

export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(): number {
    return this.take(1)[0]!;
  }

  number(): number {
    return this.take(4).readUInt32BE();
  }

  string(): Buffer {
    return this.take(this.number());
  }

  text(): string {
    return this.string().toString('latin1');
  }

  /** Without the zero byte that keeps it positive. */
  integer(): Buffer {
    const bytes = this.string();
    return bytes[0] === 0 ? bytes.subarray(1) : bytes;
  }

  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new CenoteError('failed', 'a key or an answer of the SSH agent ends too early');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

export const wireString = (content: string | Buffer): Buffer => {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return Buffer.concat([wireNumber(bytes.length), bytes]);
};

export const wireNumber = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** A positive number of any length. */
export const wireInteger = (value: Buffer): Buffer => {
  const first = value.findIndex((byte) => byte !== 0);
  const digits = first === -1 ? Buffer.alloc(0) : value.subarray(first);
  return wireString(digits.length > 0 && digits[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits);
};
