/** Names on the command line, and as `triton` shows them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DnsStatus, NameRecord } from '../../src/model/names-api.ts';
import { cliFixture, failed, succeeded } from '../support/cli-fixture.ts';
import { tritonWorld } from '../support/triton-world.ts';

const byText = (one: string, other: string): number => (one < other ? -1 : 1);

test('names are listed, of one machine or all, looked at, and taken away', async () => {
  await using cli = await cliFixture();
  const cenote = async (...words: string[]) => succeeded(await cli.cenote(...words));
  await cenote('create', 'web', '--tag', 'triton.cns.services=site:80');
  await cenote('create', 'db');
  const zone = (await cenote('dns', 'status', '--json')).json<DnsStatus>().zone;
  const name = (text: string) => text.replaceAll('.', String.raw`\.`);
  assert.match(
    (await cenote('dns', 'ls')).stdout,
    new RegExp(
      `^NAME +TYPE +TTL +VALUE\n${name(`db.inst.default.${zone}`)} +A +30 +10\\.77\\.\\S+\n(.*\n)*${name(`site.svc.default.${zone}`)} +SRV +10 +0 10 80 web`,
    ),
  );
  assert.ok(!(await cenote('dns', 'ls')).stdout.includes('in-addr'));
  assert.match((await cenote('dns', 'ls', 'db', '--all')).stdout, /in-addr\.arpa +PTR/);
  const all = (await cenote('dns', 'ls', 'db', '--json')).json<NameRecord[]>();
  assert.deepEqual(new Set(all.map(({ type }) => type)), new Set(['A', 'TXT', 'PTR']));
  assert.match((await cenote('dns', 'get', 'site.svc')).stdout, new RegExp(`^${name(`site.svc.default.${zone}`)}\\. 10 IN A 10\\.77\\.`));
  failed(await cli.cenote('dns', 'get', 'nothing'), 4, /there is no name "nothing" of the account/);
  assert.match((await cenote('get', 'web')).stdout, new RegExp(`Names: +${name(`web.inst.default.${zone}`)}\n +${name(`site.svc.default.${zone}`)}\n`));
  assert.match((await cenote('dns', 'status')).stdout, /Served: +to nobody but machines/);
  await cenote('account', 'update', 'default', '--dns', 'off');
  assert.match((await cenote('account', 'get', 'default')).stdout, /Names in DNS: +off/);
  assert.deepEqual((await cenote('dns', 'ls', '--json')).json<NameRecord[]>(), []);
});

test('two machines that are written alike share the name, and have their ids to themselves', async () => {
  await using cli = await cliFixture();
  const ids: string[] = [];
  for (const name of ['db.1', 'DB-1']) {
    succeeded(await cli.cenote('create', name));
    ids.push(succeeded(await cli.cenote('get', name, '--json')).json<{ id: string }>().id);
  }
  const told = async (name: string) => succeeded(await cli.cenote('dns', 'get', name, '--json')).json<NameRecord[]>();
  const shared = (await told('db-1.inst')).filter(({ name }) => name.startsWith('db-1.inst.default.'));
  assert.equal(new Set(shared.flatMap(({ type, value }) => (type === 'A' ? [value] : []))).size, 2);
  assert.deepEqual(shared.flatMap(({ type, value }) => (type === 'TXT' ? [value.replaceAll('"', '')] : [])).toSorted(byText), ids.toSorted(byText));
  for (const id of ids) assert.equal((await told(id)).filter(({ type, name }) => type === 'A' && name.startsWith(`${id}.inst.default.`)).length, 1);
  succeeded(await cli.cenote('delete', 'db.1'));
  assert.equal((await told('db-1.inst')).filter(({ type, name }) => type === 'A' && name.startsWith('db-1.inst.default.')).length, 1);
});

test('triton shows the names of an instance, and turns them off and on', async () => {
  await using here = await tritonWorld();
  const { alice } = here;
  await alice.must('instance', 'create', '-w', '-n', 'web', '-t', 'triton.cns.services=site:80', 'base', 'small');
  const shown = () => alice.json<{ dns_names?: string[] }>('instance', 'get', '-j', 'web');
  await alice.must('account', 'update', 'triton_cns_enabled=true');
  const names = (await shown()).dns_names!;
  assert.equal(names.length, 6);
  assert.ok(names[0]!.startsWith('web.inst.alice.') && names[4]!.startsWith('site.svc.alice.'), names.join());
  const [listed] = await alice.lines<object>('instance', 'ls', '-j');
  assert.ok(!('dns_names' in listed!), 'as in CloudAPI, of a single machine only');
  await alice.must('account', 'update', 'triton_cns_enabled=false');
  assert.ok(!('dns_names' in (await shown())));
  assert.equal((await alice.json<{ triton_cns_enabled: boolean }>('account', 'get', '-j')).triton_cns_enabled, false);
});
