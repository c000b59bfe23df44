/** A flow between machines of a small world (network-world.ts), which goes on until one of them is gone. */
import { until } from './network-world.ts';
import type { Place } from './network-world.ts';

/** One that says a number for each of the other's answers. */
export const talk = async (from: Place, to: Place, address: string, port: number): Promise<{ lines: string[] }> => {
  const server = to.follow(
    process.execPath,
    '-e',
    `require('node:net').createServer((s) => s.on('error', () => {}).pipe(s)).listen(${port}, '::', () => console.log('ready'))`,
  );
  await until(() => server.lines.includes('ready'));
  const talker = from.follow(
    process.execPath,
    '-e',
    `const s = require('node:net').connect(${port}, '${address}'); let n = 0; s.on('data', () => { console.log(++n); setTimeout(() => s.write('x'), 5); }); s.on('close', () => console.log('closed')); s.on('connect', () => s.write('x'));`,
  );
  await until(() => talker.lines.length > 5);
  return talker;
};
