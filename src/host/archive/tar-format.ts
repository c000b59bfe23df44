/**
 * The tar format's blocks as bytes: decoding a header and pax records, encoding a header. Our own, because names and extended
 * attributes must come through byte for byte (a capability is binary), and because what reaches the unpacking program has to be
 * one plain form that can be read in one way only, whatever dialect came in.
 */
import { invalid } from '../../base/errors.ts';

export const blockSize = 512;
export const zeroBlock: Buffer = Buffer.alloc(blockSize);

export interface RawHeader {
  name: Buffer;
  link: Buffer;
  /** The type flag as one character; NUL reads as `0`. */
  flag: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
}

export const damaged = (what: string) => invalid('archive', what);

const untilNul = (field: Buffer): Buffer => {
  const end = field.indexOf(0);
  return end === -1 ? field : field.subarray(0, end);
};

/** Octal text, or GNU's big-endian binary when the first bit is set. */
const numberAt = (block: Buffer, offset: number, length: number, what: string): number => {
  const first = block[offset]!;
  if ((first & 0x80) !== 0) {
    if ((first & 0x40) !== 0) return what === 'mtime' ? 0 : fail(what);
    let value = BigInt(first & 0x3f);
    for (let at = offset + 1; at < offset + length; at += 1) value = value * 256n + BigInt(block[at]!);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : fail(what);
  }
  const text = untilNul(block.subarray(offset, offset + length))
    .toString('latin1')
    .trim();
  if (text === '') return 0;
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : fail(what);
};

const fail = (what: string): never => {
  throw damaged(`a header's ${what} is damaged`);
};

export const isZeroBlock = (block: Buffer): boolean => block.equals(zeroBlock);

const sumOf = (block: Buffer): number => {
  let sum = 8 * 0x20;
  for (let at = 0; at < blockSize; at += 1) if (at < 148 || at >= 156) sum += block[at]!;
  return sum;
};

export const decodeHeader = (block: Buffer): RawHeader => {
  const sum = /^ *([0-7]+)[ \0]*$/.exec(block.toString('latin1', 148, 156))?.[1];
  if (sum === undefined || Number.parseInt(sum, 8) !== sumOf(block)) throw damaged('is not a tar archive, or is damaged (checksum of a header)');
  const magic = block.toString('latin1', 257, 263);
  const name = untilNul(block.subarray(0, 100));
  const prefix = magic === 'ustar\0' ? untilNul(block.subarray(345, 500)) : Buffer.alloc(0);
  const flag = block[156] === 0 ? '0' : String.fromCharCode(block[156]!);
  return {
    name: Buffer.from(prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name])),
    link: Buffer.from(untilNul(block.subarray(157, 257))),
    flag,
    mode: numberAt(block, 100, 8, 'mode'),
    uid: numberAt(block, 108, 8, 'uid'),
    gid: numberAt(block, 116, 8, 'gid'),
    size: numberAt(block, 124, 12, 'size'),
    mtime: numberAt(block, 136, 12, 'mtime'),
  };
};

/** Pax records: `LENGTH KEY=VALUE\n`, values as bytes. */
export const decodePax = (body: Buffer): Map<string, Buffer> => {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const digits = space === -1 ? '' : body.toString('latin1', at, space);
    const length = /^[1-9][0-9]{0,7}$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    const equals = body.indexOf(0x3d, space + 1);
    if (length === 0 || end > body.length || body[end - 1] !== 0x0a || equals === -1 || equals >= end) throw damaged('a pax header is damaged');
    records.set(body.toString('utf8', space + 1, equals), Buffer.from(body.subarray(equals + 1, end - 1)));
    at = end;
  }
  return records;
};

const encodePax = (records: ReadonlyMap<string, Buffer>): Buffer => {
  const parts: Buffer[] = [];
  for (const [key, value] of records) {
    const rest = Buffer.byteLength(key) + value.length + 3;
    let length = rest + String(rest).length;
    if (String(length).length !== String(rest).length) length = rest + String(length).length;
    parts.push(Buffer.from(`${length} ${key}=`), value, Buffer.from('\n'));
  }
  return Buffer.concat(parts);
};

const octal = (block: Buffer, offset: number, length: number, value: number): void => {
  const text = value.toString(8);
  if (text.length < length) {
    block.write(text.padStart(length - 1, '0'), offset, 'latin1');
    return;
  }
  for (let at = offset + length - 1, rest = BigInt(value); at > offset; at -= 1, rest /= 256n) block[at] = Number(rest & 0xffn);
  block[offset] = 0x80;
};

const encodeBlock = (header: RawHeader): Buffer => {
  const block = Buffer.alloc(blockSize);
  header.name.copy(block, 0, 0, 100);
  octal(block, 100, 8, header.mode);
  octal(block, 108, 8, header.uid);
  octal(block, 116, 8, header.gid);
  octal(block, 124, 12, header.size);
  octal(block, 136, 12, header.mtime);
  block.write(header.flag, 156, 'latin1');
  header.link.copy(block, 157, 0, 100);
  block.write('ustar  \0', 257, 'latin1');
  block.write(`${sumOf(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
};

export const paddingOf = (size: number): number => (blockSize - (size % blockSize)) % blockSize;

const withBody = (flag: string, name: string, body: Buffer): Buffer[] => [
  encodeBlock({ name: Buffer.from(name), link: Buffer.alloc(0), flag, mode: 0o644, uid: 0, gid: 0, size: body.length, mtime: 0 }),
  body,
  zeroBlock.subarray(0, paddingOf(body.length)),
];

/** The blocks of one entry's header, in GNU's form: long names as entries of their own, so that no character set is ever consulted. */
export const encodeHeader = (header: RawHeader, extendedAttributes: ReadonlyMap<string, Buffer>): Buffer[] => {
  const blocks: Buffer[] = [];
  if (extendedAttributes.size > 0) {
    const records = new Map([['hdrcharset', Buffer.from('BINARY')]]);
    for (const [name, value] of extendedAttributes) {
      records.set(`LIBARCHIVE.xattr.${encodeURIComponent(name)}`, Buffer.from(value.toString('base64').replace(/=+$/, '')));
    }
    blocks.push(...withBody('x', 'pax', encodePax(records)));
  }
  const nul = Buffer.alloc(1);
  if (header.link.length > 100) blocks.push(...withBody('K', '././@LongLink', Buffer.concat([header.link, nul])));
  if (header.name.length > 100) blocks.push(...withBody('L', '././@LongLink', Buffer.concat([header.name, nul])));
  blocks.push(encodeBlock(header));
  return blocks;
};
