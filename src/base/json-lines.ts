/** JSON lines (NDJSON): one value a line, as streams of the APIs are, and what processes here tell each other. */

export const jsonLinesType = 'application/x-ndjson';

/** A value as one line, with its end; JSON text holds no line breaks of its own. */
export const jsonLine = (value: unknown): string => `${JSON.stringify(value)}\n`;

/** The values of a stream, as many at a time as arrived together. */
export async function* jsonLines<T>(stream: AsyncIterable<Buffer>): AsyncGenerator<T[]> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    const values = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as T);
    if (values.length > 0) yield values;
  }
  if (rest.trim() !== '') yield [JSON.parse(rest) as T];
}
