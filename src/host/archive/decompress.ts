/** A tar stream from what was sent: plain, gzip or zstd, told apart by the first bytes. */
import { Readable, pipeline } from 'node:stream';
import type { Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { damaged } from './tar-format.ts';

const chunkSize = 256 * 1024;
const longestMagic = 6;

const starts = (head: Buffer, ...magic: number[]): boolean => magic.every((byte, at) => head[at] === byte);

const decompressor = (head: Buffer): Transform | null => {
  if (head.length === 0) throw damaged('is empty');
  if (starts(head, 0x1f, 0x8b)) return createGunzip({ chunkSize });
  if (starts(head, 0x28, 0xb5, 0x2f, 0xfd)) return createZstdDecompress({ chunkSize });
  for (const [name, ...magic] of [
    ['xz', 0xfd, 0x37, 0x7a, 0x58],
    ['bzip2', 0x42, 0x5a, 0x68],
    ['zip', 0x50, 0x4b, 0x03, 0x04],
  ] as const) {
    if (starts(head, ...magic)) throw damaged(`is compressed with ${name}; accepted are plain tar, gzip and zstd`);
  }
  return null;
};

/**
 * The decompressed bytes. Reading errors of the source and damage come out of the iteration. The source stays the caller's: when an
 * archive is refused half way, the request it came with must still be able to carry the answer.
 */
export async function* decompressed(source: Readable): AsyncGenerator<Buffer, void> {
  const input = (
    source instanceof Readable ? source.iterator({ destroyOnReturn: false }) : (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  ) as AsyncIterator<Buffer | string>;
  try {
    let head: Buffer = Buffer.alloc(0);
    while (head.length < longestMagic) {
      const { value, done } = await input.next();
      if (done === true) break;
      head = Buffer.concat([head, asBuffer(value)]);
    }
    const through = decompressor(head);
    if (through === null) {
      yield* rest(head, input);
      return;
    }
    // Errors, of the source and of the data, come out of the iteration.
    pipeline(Readable.from(rest(head, input), { objectMode: false, highWaterMark: chunkSize }), through, () => {});
    try {
      for await (const chunk of through) yield chunk as Buffer;
    } finally {
      through.destroy();
    }
  } finally {
    await input.return?.();
  }
}

async function* rest(head: Buffer, input: AsyncIterator<Buffer | string>): AsyncGenerator<Buffer, void> {
  yield head;
  for (let next = await input.next(); next.done !== true; next = await input.next()) yield asBuffer(next.value);
}

const asBuffer = (chunk: Buffer | string): Buffer => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
