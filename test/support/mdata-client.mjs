/**
 * Inside a machine: what the stock mdata-get, mdata-put, mdata-list and mdata-delete do, by the text of the protocol, over the socket or the serial line.
 *
 *   mdata-client.mjs [--serial] [--v1] get KEY | put KEY VALUE | list | delete KEY      exit code 1: not found, 2: refused
 */
import { openSync } from 'node:fs';
import { createConnection } from 'node:net';
import { ReadStream } from 'node:tty';
import { crc32 } from 'node:zlib';

const words = process.argv.slice(2);
const serial = words[0] === '--serial';
if (serial) words.shift();
const first = words[0] === '--v1';
if (first) words.shift();
const [verb, key = '', value = ''] = words;
const base64 = (text) => Buffer.from(text).toString('base64');

const socket = serial ? new ReadStream(openSync('/dev/ttyS1', 'r+')) : createConnection('/.zonecontrol/metadata.sock');
let text = '';
let wake = () => {};
socket.on('data', (chunk) => {
  text += chunk;
  wake();
});
socket.on('close', () => {
  process.stderr.write('the connection ended\n');
  process.exit(3);
});
const line = async () => {
  while (!text.includes('\n')) await new Promise((resolve) => (wake = resolve));
  const at = text.indexOf('\n');
  const said = text.slice(0, at);
  text = text.slice(at + 1);
  return said;
};
const end = (code, said = '') => {
  process.stdout.write(said === '' ? '' : `${said}\n`, () => process.exit(code));
  return new Promise(() => {});
};

socket.write('\n');
if ((await line()) !== 'invalid command') await end(4, 'no metadata here');
if (first) {
  socket.write(`GET ${key}\n`);
  const head = await line();
  if (head === 'NOTFOUND') await end(1);
  if (head !== 'SUCCESS') await end(2, head);
  const lines = [];
  for (let next = await line(); next !== '.'; next = await line()) lines.push(next.startsWith('.') ? next.slice(1) : next);
  await end(0, lines.join('\n'));
}
socket.write('NEGOTIATE V2\n');
if ((await line()) !== 'V2_OK') await end(4, 'no version 2 here');
const payload = { get: base64(key), put: base64(`${base64(key)} ${base64(value)}`), delete: base64(key), list: undefined }[verb];
const id = Math.floor(Math.random() * 2 ** 32)
  .toString(16)
  .padStart(8, '0');
const body = [id, { list: 'KEYS' }[verb] ?? verb.toUpperCase(), ...(payload === undefined ? [] : [payload])].join(' ');
socket.write(`V2 ${body.length} ${crc32(body).toString(16).padStart(8, '0')} ${body}\n`);
const [, length, sum, rest] = /^V2 (\d+) ([0-9a-f]{8}) (.*)$/.exec(await line());
if (rest.length !== Number(length) || crc32(rest) !== Number.parseInt(sum, 16)) await end(4, 'a damaged answer');
const [answered, word, data = ''] = rest.split(' ');
if (answered !== id) await end(4, 'an answer to something else');
await end({ SUCCESS: 0, NOTFOUND: 1 }[word] ?? 2, Buffer.from(data, 'base64').toString());
