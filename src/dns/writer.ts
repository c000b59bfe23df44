/**
 * Writes messages into one buffer that is used again and again. Names are compressed, but for those that a record's own rules forbid. What
 * does not fit leaves no trace.
 */
import { ipv6Words } from './ipv6.ts';
import { parentOf } from './name.ts';
import { flags, internetClass } from './query.ts';
import type { Query } from './query.ts';
import { typeCodes } from './record.ts';
import type { Record, RecordData } from './record.ts';

const headerBytes = 12;
export const longestMessage = 65_535;
/** A pointer has 14 bits. */
const farthestPointer = 0x3fff;
const optBytes = 11;
/** What we take in a datagram, told to whoever has EDNS: it passes everywhere unfragmented. */
export const datagramBytes = 1232;

export type Section = 'answer' | 'authority' | 'additional';
const counts: Readonly<{ [section in Section]: number }> = { answer: 6, authority: 8, additional: 10 };

export class MessageWriter {
  readonly #buffer = Buffer.allocUnsafe(longestMessage);
  /** Where names and their ends stand, of those that may be pointed to. */
  readonly #places = new Map<string, number>();
  #at = 0;
  #limit = longestMessage;
  #question: Query | undefined;
  #hasPlaces = false;

  /** The answer to `query`, of at most `limit` bytes. */
  begin(query: Query, limit: number): void {
    const { message, questionEnd, id, head, edns } = query;
    this.#places.clear();
    this.#hasPlaces = false;
    this.#question = query;
    this.#limit = edns === null ? limit : limit - optBytes;
    message.copy(this.#buffer, 0, 0, questionEnd);
    this.#buffer.writeUInt16BE(id, 0);
    this.#buffer.writeUInt16BE(flags.response | (head & (flags.opcode | flags.recursionDesired)), 2);
    this.#buffer.writeUInt16BE(1, 4);
    this.#buffer.fill(0, 6, headerBytes);
    this.#at = questionEnd;
  }

  flag(bits: number): void {
    this.#buffer.writeUInt16BE(this.#buffer.readUInt16BE(2) | bits, 2);
  }

  get length(): number {
    return this.#at;
  }

  /** Without the records written so far. */
  clear(): void {
    this.#at = this.#question!.questionEnd;
    this.#places.clear();
    this.#hasPlaces = false;
    this.#buffer.fill(0, 6, headerBytes);
  }

  /** Whether it fitted. */
  add(section: Section, { name, ttl, data }: Record): boolean {
    const start = this.#at;
    // The longest record that we have is shorter than this; what is written beyond the limit is taken back.
    if (start + 1024 > longestMessage) return false;
    this.#name(name, true);
    const { buffer, at } = { buffer: this.#buffer, at: this.#at };
    buffer.writeUInt16BE(typeCodes[data.type], at);
    buffer.writeUInt16BE(internetClass, at + 2);
    buffer.writeUInt32BE(ttl, at + 4);
    this.#at = at + 10;
    this.#data(data);
    buffer.writeUInt16BE(this.#at - at - 10, at + 8);
    if (this.#at > this.#limit) {
      this.#at = start;
      for (const [suffix, place] of this.#places) if (place >= start) this.#places.delete(suffix);
      return false;
    }
    buffer.writeUInt16BE(buffer.readUInt16BE(counts[section]) + 1, counts[section]);
    return true;
  }

  /** A copy of what was written, with our own EDNS for whoever has it. `code`: the response code, of which EDNS has the upper part. */
  finish(code: number): Buffer {
    this.flag(code & 0x0f);
    if (this.#question!.edns !== null) {
      const [buffer, at] = [this.#buffer, this.#at];
      buffer[at] = 0;
      buffer.writeUInt16BE(41, at + 1);
      buffer.writeUInt16BE(datagramBytes, at + 3);
      buffer.writeUInt32BE((code >> 4) << 24, at + 5);
      buffer.writeUInt16BE(0, at + 9);
      this.#at += optBytes;
      buffer.writeUInt16BE(buffer.readUInt16BE(counts.additional) + 1, counts.additional);
    }
    return Buffer.from(this.#buffer.subarray(0, this.#at));
  }

  #name(name: string, compress: boolean): void {
    if (compress && name === this.#question!.name) {
      this.#at = this.#buffer.writeUInt16BE(0xc000 | headerBytes, this.#at);
      return;
    }
    this.#rememberQuestion();
    for (let rest = name; rest !== ''; rest = parentOf(rest)) {
      const place = this.#places.get(rest);
      if (compress && place !== undefined) {
        this.#at = this.#buffer.writeUInt16BE(0xc000 | place, this.#at);
        return;
      }
      if (place === undefined && this.#at <= farthestPointer) this.#places.set(rest, this.#at);
      const dot = rest.indexOf('.');
      const length = dot === -1 ? rest.length : dot;
      this.#buffer[this.#at] = length;
      this.#buffer.write(rest, this.#at + 1, length, 'latin1');
      this.#at += 1 + length;
    }
    this.#buffer[this.#at++] = 0;
  }

  /** Most answers name nothing but the question, and need no table. */
  #rememberQuestion(): void {
    if (this.#hasPlaces) return;
    this.#hasPlaces = true;
    let at = headerBytes;
    for (let rest = this.#question!.name; rest !== ''; rest = parentOf(rest)) {
      this.#places.set(rest, at);
      at += 1 + this.#buffer[at]!;
    }
  }

  #data(data: RecordData): void {
    const buffer = this.#buffer;
    switch (data.type) {
      case 'A':
        for (const part of data.address.split('.')) buffer[this.#at++] = Number(part);
        return;
      case 'AAAA':
        for (const word of ipv6Words(data.address)) this.#at = buffer.writeUInt16BE(word, this.#at);
        return;
      case 'NS':
      case 'PTR':
        return this.#name(data.target, true);
      case 'SRV':
        for (const number of [data.priority, data.weight, data.port]) this.#at = buffer.writeUInt16BE(number, this.#at);
        return this.#name(data.target, false);
      case 'TXT':
        return this.#text(data.text);
      case 'SOA':
        this.#name(data.primary, true);
        this.#name(data.mailbox, true);
        for (const number of [data.serial, data.refresh, data.retry, data.expire, data.minimum]) this.#at = buffer.writeUInt32BE(number, this.#at);
    }
  }

  /** In strings of 255 bytes. */
  #text(text: string): void {
    const bytes = Buffer.from(text);
    for (let at = 0; at === 0 || at < bytes.length; at += 255) {
      const part = bytes.subarray(at, at + 255);
      this.#buffer[this.#at++] = part.length;
      this.#at += part.copy(this.#buffer, this.#at);
    }
  }
}
