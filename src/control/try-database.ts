/** Whether a database will do: opens the store whose URL is on standard input, brings its schema up to date, and says where it is. For `cenote up`. */
import { text } from 'node:stream/consumers';
import { messageChain } from '../base/errors.ts';
import { Store } from '../store/store.ts';

try {
  await using store = await Store.open((await text(process.stdin)).trim());
  process.stdout.write(`${store.shown}\n`);
} catch (error) {
  process.stderr.write(`${messageChain(error)}\n`);
  process.exitCode = 1;
}
