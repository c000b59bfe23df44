/** Firewall rules through the control plane's API: kept, told to the host, judged; and the host found again after time apart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controlFixture, eventually } from '../support/control-fixture.ts';

const web = 'FROM any TO tag role = web ALLOW tcp PORT 80';
const canonicalWeb = 'FROM any TO tag "role" = "web" ALLOW tcp PORT 80';

test('a rule is made, changed, switched and deleted, and the host has it each time', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const applied = () => [...agent.firewall.rules.values()].map(({ rule }) => rule);
  const made = await client.firewallRuleCreate({ rule: web, description: 'the site' });
  assert.deepEqual(
    { ...made, id: '', createdAt: '' },
    {
      id: '',
      createdAt: '',
      rule: canonicalWeb,
      enabled: false,
      log: false,
      description: 'the site',
      global: false,
      account: 'default',
      applied: true,
    },
  );
  assert.deepEqual(applied(), []);
  assert.equal((await client.firewallRuleEnable(made.id)).enabled, true);
  assert.deepEqual(applied(), [canonicalWeb]);
  const changed = await client.firewallRuleUpdate(made.id, { rule: web.replace('80', '81'), log: true, description: null });
  assert.deepEqual([changed.log, changed.description, changed.enabled], [true, null, true]);
  assert.deepEqual([...agent.firewall.rules.values()], [{ id: made.id, account: 'default', rule: changed.rule, log: true }]);
  const everybodys = await client.firewallRuleCreate({ rule: 'FROM any TO all vms ALLOW icmp TYPE 8', enabled: true, global: true });
  assert.deepEqual([everybodys.global, everybodys.account], [true, null]);
  assert.equal(agent.firewall.rules.get(everybodys.id)!.account, null);
  assert.deepEqual(
    (await client.firewallRuleList()).map(({ id }) => id),
    [made.id, everybodys.id],
  );
  await client.firewallRuleDisable(made.id);
  assert.deepEqual(applied(), [everybodys.rule]);
  await client.firewallRuleDelete(made.id);
  await assert.rejects(client.firewallRuleGet(made.id), { code: 'not_found' });
  await assert.rejects(client.firewallRuleDelete(made.id), { code: 'not_found' });
  const events = (await Array.fromAsync(client.events({ after: 0 }))).flat().filter(({ subject }) => subject === made.id);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['fwrule.created', 'fwrule.updated', 'fwrule.updated', 'fwrule.updated', 'fwrule.deleted'],
  );
});

test('what is no rule is refused with the reason', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  for (const [body, message] of [
    [{ rule: 'FROM any TO any ALLOW tcp PORT 80' }, /rule: rule does not affect VMs/],
    [{ rule: 'FROM any TO all vms ALLOW tcp PORT 0' }, /Port number "0" is invalid/],
    [{ rule: web, description: 'x'.repeat(256) }, /description/],
    [{ rule: web, enabled: 'yes' }, /enabled/],
    [{ rule: web, extra: 1 }, /extra/],
    [{}, /rule/],
  ] as const)
    await assert.rejects(client.firewallRuleCreate(body as never), { code: 'invalid_argument', message });
  const { id } = await client.firewallRuleCreate({ rule: web });
  await assert.rejects(client.firewallRuleUpdate(id, {}), { code: 'invalid_argument', message: /nothing to change/ });
  await assert.rejects(client.firewallRuleUpdate(id, { rule: 'FROM' }), { code: 'invalid_argument' });
  assert.equal((await client.firewallRuleGet(id)).rule, canonicalWeb);
});

test('rules of a machine, machines of a rule, and what becomes of packets', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  const wait = { wait: 10 };
  const { machine: front } = await client.machineCreate({ name: 'front', tags: { role: 'web' }, firewallEnabled: true }, wait);
  const { machine: back } = await client.machineCreate({ name: 'back', tags: { role: 'db' } }, wait);
  const site = await client.firewallRuleCreate({ rule: web, enabled: true });
  const data = await client.firewallRuleCreate({ rule: 'FROM tag role = web TO tag role = db ALLOW tcp PORT 5432', enabled: true });
  const none = await client.firewallRuleCreate({ rule: 'FROM tag role = cache TO any BLOCK tcp PORT all', enabled: true });
  const namesOf = async (id: string) => (await client.firewallRuleMachines(id)).map(({ name }) => name);
  assert.deepEqual([await namesOf(site.id), await namesOf(data.id), await namesOf(none.id)], [['front'], ['back', 'front'], []]);
  const rulesOf = async (name: string) => (await client.machineFirewallRules(name)).map(({ id }) => id);
  assert.deepEqual([await rulesOf('front'), await rulesOf('back')], [[site.id, data.id], [data.id]]);

  const tcp = (from: string, to: string, port: number) => client.firewallTest(from, to, { protocol: 'tcp', port });
  assert.deepEqual(await tcp('192.0.2.1', 'front', 80), {
    allowed: true,
    judgements: [{ direction: 'in', machine: { id: front!.id, name: 'front' }, action: 'allow', rule: { id: site.id, rule: canonicalWeb } }],
  });
  assert.deepEqual((await tcp('192.0.2.1', front!.id, 81)).judgements, [
    { direction: 'in', machine: { id: front!.id, name: 'front' }, action: 'block', rule: null },
  ]);
  assert.deepEqual(await tcp('192.0.2.1', 'back', 5432), { allowed: true, judgements: [] });
  await client.machineUpdate('back', { firewallEnabled: true }, wait);
  assert.equal((await client.machineGet('back')).firewallEnabled, true);
  assert.equal((await tcp('192.0.2.1', 'back', 5432)).allowed, false);
  const through = await tcp(front!.address, back!.address, 5432);
  assert.deepEqual(
    [through.allowed, through.judgements.map(({ direction, rule }) => [direction, rule?.id])],
    [
      true,
      [
        ['out', data.id],
        ['in', data.id],
      ],
    ],
  );
  await client.machineUpdate('front', { tags: { role: 'webs' } }, wait);
  assert.equal((await tcp('front', 'back', 5432)).allowed, false);
  await assert.rejects(tcp('nobody', 'back', 1), { code: 'invalid_argument', message: /from: "nobody" is neither a machine nor an address/ });
  await assert.rejects(client.firewallTest('front', 'back', { protocol: 'tcp' } as never), { code: 'invalid_argument', message: /port: is missing/ });
});

test('a host that was away, or lost its rules, has them again', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const kept = await client.firewallRuleCreate({ rule: web, enabled: true });
  const gone = await client.firewallRuleCreate({ rule: web.replace('80', '82'), enabled: true });
  await agent.stop();
  await eventually(
    () => client.firewallRuleGet(kept.id),
    ({ applied }) => !applied,
  );
  await client.firewallRuleDelete(gone.id);
  const late = await client.firewallRuleCreate({ rule: web.replace('80', '83'), enabled: true });
  assert.equal(late.applied, false);
  agent.firewall.revision += 100;
  agent.firewall.rules.delete(kept.id);
  agent.firewall.rules.set('11111111-0000-4000-8000-000000000000', { id: '11111111-0000-4000-8000-000000000000', account: 'x', rule: web, log: false });
  await agent.start();
  await eventually(
    () => client.firewallRuleGet(late.id),
    ({ applied }) => applied,
  );
  assert.deepEqual(new Set(agent.firewall.rules.keys()), new Set([kept.id, late.id]));

  // Somebody else's word in between is found at the next change.
  agent.firewall.revision += 1;
  agent.firewall.rules.clear();
  const last = await client.firewallRuleCreate({ rule: web.replace('80', '84'), enabled: true });
  assert.equal(last.applied, true);
  assert.deepEqual(new Set(agent.firewall.rules.keys()), new Set([kept.id, late.id, last.id]));

  // And a control plane that starts compares.
  await fixture.stopControl();
  agent.firewall.rules.clear();
  await fixture.restart();
  await eventually(
    () => agent.firewall.rules.size,
    (size) => size === 3,
  );
});

test('many changes at once all arrive', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const rules = await Promise.all(
    Array.from({ length: 60 }, (_, index) => client.firewallRuleCreate({ rule: web.replace('80', String(1000 + index)), enabled: index % 3 > 0 })),
  );
  await Promise.all(rules.map(({ id }, index) => (index % 2 === 0 ? client.firewallRuleEnable(id) : client.firewallRuleDelete(id))));
  assert.deepEqual(new Set(agent.firewall.rules.keys()), new Set(rules.filter((_, index) => index % 2 === 0).map(({ id }) => id)));
});

test('a rule that the host refuses holds up no other', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  agent.firewall.refuses = ({ log }) => log;
  const rules = await Promise.all(
    Array.from({ length: 30 }, (_, index) => client.firewallRuleCreate({ rule: web.replace('80', String(1000 + index)), enabled: true, log: index === 13 })),
  );
  assert.deepEqual(rules.map(({ applied }) => applied).indexOf(false), 13);
  assert.equal(agent.firewall.rules.size, 29);
  assert.equal((await client.firewallRuleUpdate(rules[13]!.id, { log: false })).applied, true);
  assert.equal(agent.firewall.rules.size, 30);
});

test('what rules may cost in all is bounded, and said', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  const side = Array.from({ length: 24 }, (_, index) => `tag t${index}`).join(' OR ');
  const large = `FROM (${side}) TO (${side}) ALLOW tcp PORTS ${Array.from({ length: 24 }, (_, index) => `${index * 100 + 1} - ${index * 100 + 50}`).join(', ')}`;
  const asked = await Promise.allSettled(Array.from({ length: 200 }, () => client.firewallRuleCreate({ rule: large })));
  const refused = asked.filter((one) => one.status === 'rejected').map(({ reason }) => reason as Error);
  assert.equal(refused.length, 5);
  assert.match(refused[0]!.message, /come to 50176 combinations of targets and ports, and 50000 is the most/);
  const small = await client.firewallRuleCreate({ rule: web });
  await assert.rejects(client.firewallRuleUpdate(small.id, { log: true }), { code: 'over_quota' });
  assert.equal((await client.firewallRuleUpdate(small.id, { rule: web.replace('80', '81') })).enabled, false);
});
