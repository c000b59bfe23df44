/** Reads a tar stream entry by entry: gathers long names and pax records, and leaves the judging of what they say to the checker. */
import { CenoteError, messageOf } from '../../base/errors.ts';
import { blockSize, damaged, decodeHeader, decodePax, isZeroBlock, paddingOf } from './tar-format.ts';
import type { RawHeader } from './tar-format.ts';

export interface TarEntry {
  header: RawHeader;
  /** The pax records that hold for this entry, `path`, `linkpath`, `size` and the like already applied. */
  records: ReadonlyMap<string, Buffer>;
}

/** One extended header's largest size; real ones are a few hundred bytes. */
const maxExtendedBytes = 1024 * 1024;
/** Names and extended headers of a whole archive: what is kept in memory must not grow with what a stranger sends. */
const maxMetadataBytes = 128 * 1024 * 1024;
/** Writers pad to their record size; more than this after the end mark is not padding. */
const maxTrailingBytes = 1024 * 1024;

export class TarReader {
  readonly #source: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);
  #body = 0;
  #metadataBytes = 0;
  #global = new Map<string, Buffer>();

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next entry, its predecessor's body skipped if it was not read; null at the end, with the source read to its end. */
  async next(): Promise<TarEntry | null> {
    for await (const skipped of this.body()) void skipped;
    let local = new Map<string, Buffer>();
    let longName: Buffer | undefined;
    let longLink: Buffer | undefined;
    for (;;) {
      const block = await this.#exactly(blockSize, true);
      if (block === null || isZeroBlock(block)) {
        if (longName !== undefined || longLink !== undefined || local.size > 0) throw damaged('ends in the middle of an entry');
        if (block === null) throw damaged('ends without the end mark of a tar archive: it was cut off');
        await this.#end();
        return null;
      }
      const header = decodeHeader(block);
      this.#count(header.name.length + header.link.length);
      switch (header.flag) {
        case 'x':
          local = decodePax(await this.#extended(header.size));
          continue;
        case 'g':
          for (const [key, value] of decodePax(await this.#extended(header.size))) this.#global.set(key, value);
          if (this.#global.size > 1000) throw damaged('has too many global pax records');
          continue;
        case 'L':
          longName = withoutNul(await this.#extended(header.size));
          continue;
        case 'K':
          longLink = withoutNul(await this.#extended(header.size));
          continue;
        default:
      }
      const records = this.#global.size === 0 ? local : new Map([...this.#global, ...local]);
      if (longName !== undefined) header.name = longName;
      if (longLink !== undefined) header.link = longLink;
      applyRecords(header, records);
      // Only files have a body; the size some writers put on links and directories says nothing.
      const hasBody = !'123456'.includes(header.flag);
      if (!hasBody) header.size = 0;
      this.#body = header.size;
      this.#padding = paddingOf(header.size);
      return { header, records };
    }
  }

  #padding = 0;

  /** The current entry's bytes. */
  async *body(): AsyncGenerator<Buffer, void> {
    while (this.#body > 0) {
      if (this.#chunk.length === 0 && !(await this.#fill())) throw damaged('ends in the middle of a file: it was cut off');
      const part = this.#chunk.subarray(0, this.#body);
      this.#chunk = this.#chunk.subarray(part.length);
      this.#body -= part.length;
      yield part;
    }
    if (this.#padding > 0) {
      const padding = this.#padding;
      this.#padding = 0;
      await this.#exactly(padding, false);
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #end(): Promise<void> {
    let trailing = 0;
    do {
      for (const byte of this.#chunk) if (byte !== 0) throw damaged('has data after its end mark');
      trailing += this.#chunk.length;
      if (trailing > maxTrailingBytes) throw damaged('goes on after its end mark');
      this.#chunk = Buffer.alloc(0);
    } while (await this.#fill());
  }

  async #extended(size: number): Promise<Buffer> {
    if (size > maxExtendedBytes) throw damaged(`has an extended header of ${size} bytes, at most ${maxExtendedBytes} are accepted`);
    this.#count(size);
    const body = await this.#exactly(size, false);
    await this.#exactly(paddingOf(size), false);
    return body!;
  }

  #count(bytes: number): void {
    this.#metadataBytes += bytes;
    if (this.#metadataBytes > maxMetadataBytes) throw damaged(`has more than ${maxMetadataBytes} bytes of names and extended headers`);
  }

  async #fill(): Promise<boolean> {
    try {
      const { value, done } = await this.#source.next();
      if (done === true) return false;
      this.#chunk = value;
      return true;
    } catch (cause) {
      throw cause instanceof CenoteError ? cause : damaged(`could not be read: ${messageOf(cause)}`);
    }
  }

  /** Exactly so many bytes; null when the stream ends before the first and that is allowed. */
  async #exactly(size: number, orEnd: boolean): Promise<Buffer | null> {
    const parts: Buffer[] = [];
    for (let missing = size; missing > 0;) {
      if (this.#chunk.length === 0 && !(await this.#fill())) {
        if (orEnd && missing === size) return null;
        throw damaged('is not a tar archive, or was cut off');
      }
      const part = this.#chunk.subarray(0, missing);
      this.#chunk = this.#chunk.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }
}

const withoutNul = (text: Buffer): Buffer => {
  const end = text.indexOf(0);
  return end === -1 ? text : text.subarray(0, end);
};

const applyRecords = (header: RawHeader, records: ReadonlyMap<string, Buffer>): void => {
  const path = records.get('path');
  const link = records.get('linkpath');
  if (path !== undefined) header.name = path;
  if (link !== undefined) header.link = link;
  for (const key of ['size', 'uid', 'gid', 'mtime'] as const) {
    const text = records.get(key)?.toString('latin1');
    if (text === undefined) continue;
    const value = Math.trunc(Number(text));
    if (!/^-?[0-9]{1,16}(\.[0-9]*)?$/.test(text) || !Number.isSafeInteger(value) || (value < 0 && key !== 'mtime'))
      throw damaged(`a pax header's ${key} is damaged`);
    header[key] = Math.max(0, value);
  }
};
