/** The datacenter's DNS server as a means to flood others: one place asks as much as it can, as if in another's name, and another asks as people do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../src/exec/run.ts';
import { controlFixture } from '../support/control-fixture.ts';
import { questionFor, readMessage } from '../support/dns-reader.ts';
import { becomeHost, createOutside, hostAddress } from './network-world.ts';

const zone = 'dc.example.test';
const questions = 8000;
/** Asks that many times and tells of each answer; arguments: port, question. */
const floodScript = `
  const u = require('node:dgram').createSocket({ type: 'udp4', recvBufferSize: 4194304 });
  const question = Buffer.from(process.argv[2], 'hex');
  let sent = 0, quiet;
  const end = () => process.exit();
  u.on('message', (m) => { clearTimeout(quiet); quiet = setTimeout(end, 3000); console.log(m.toString('hex')); });
  const go = () => { for (let i = 0; i < 50 && sent < ${questions}; i++, sent++) u.send(question, Number(process.argv[1]), '${hostAddress}'); if (sent < ${questions}) setTimeout(go, 2); };
  go();`;

test('who asks more than anybody needs is sent little, and others are answered', async () => {
  await becomeHost();
  await using outside = await createOutside();
  await outside.run('ip', 'addr', 'add', '198.18.7.2/24', 'dev', 'eth0');
  await run('ip', ['route', 'add', '198.18.7.0/24', 'dev', 'up0']);
  await using fixture = await controlFixture({ names: { zone, listen: { address: hostAddress, port: 0 }, secondaries: [] } });
  await fixture.client.machineCreate({ name: 'web', command: ['x'] }, { wait: 10 });
  const port = (await fixture.client.dnsStatus()).port!;
  const question = questionFor(`web.inst.default.${zone}`, { edns: 1232 });
  const dig = (...words: string[]) => outside.run('dig', ...words, `@${hostAddress}`, '-p', String(port), '+short', '+tries=2', `web.inst.default.${zone}`);
  const answers = (await outside.run(process.execPath, '-e', floodScript, String(port), question.toString('hex')))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Buffer.from(line, 'hex'));
  const { counters } = await fixture.client.dnsStatus();
  assert.ok(counters!.limited > 1000, JSON.stringify(counters));
  const short = answers.filter((answer) => readMessage(answer).truncated);
  assert.ok(short.length > 100 && short.every((answer) => answer.length <= question.length), 'what is cut short is no longer than its question');
  assert.ok(
    answers.length - short.length <= counters!.answered && answers.length < questions - counters!.limited / 2 + 1,
    'half of what is too much is not answered',
  );
  assert.match(await dig('-b', '198.18.7.2'), /^\d+\.\d+\.\d+\.\d+\n$/, 'another network');
  assert.match(await dig('+tcp'), /^\d+\.\d+\.\d+\.\d+\n$/, 'the same, by a stream');
});
