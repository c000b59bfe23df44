import assert from 'node:assert/strict';
import { test } from 'node:test';
import { obstaclesAmong, parseChains } from './obstacles.ts';

const never = () => false;
const listing = (table: string, ...chains: string[]): string => `table ${table} {\n${chains.map((chain) => `\tchain ${chain}\n\t}\n`).join('')}}\n`;
const hooked = (name: string, hook: string, policy: string): string => `${name} {\n\t\ttype filter hook ${hook} priority filter; policy ${policy};`;

const docker = listing('ip filter', hooked('FORWARD', 'forward', 'drop'), hooked('INPUT', 'input', 'accept'), 'DOCKER-USER {', 'DOCKER {');
const own = listing('inet cenote-one', hooked('forward', 'forward', 'drop'));

test('a host without another firewall has no obstacles', () => {
  assert.deepEqual(obstaclesAmong(parseChains(own), never), []);
  assert.deepEqual(obstaclesAmong(parseChains(listing('ip filter', hooked('FORWARD', 'forward', 'accept'))), never), []);
  assert.deepEqual(obstaclesAmong(parseChains(''), never), []);
});

test('Docker, ufw, firewalld and unknown firewalls are each told what to do', () => {
  assert.match(obstaclesAmong(parseChains(own + docker), never).join(), /^Docker drops forwarded packets: .*DOCKER-USER -i cn\+/);
  const ufw = listing('ip filter', hooked('FORWARD', 'forward', 'drop'), hooked('INPUT', 'input', 'drop'), 'ufw-before-input {');
  assert.equal(obstaclesAmong(parseChains(ufw), never).length, 2);
  assert.match(obstaclesAmong(parseChains(listing('inet firewalld', hooked('filter_FORWARD', 'forward', 'accept'))), never).join(), /firewall-cmd/);
  assert.match(obstaclesAmong(parseChains(listing('inet mine', hooked('f', 'forward', 'drop'))), never).join(), /"inet mine" drops forwarded/);
});

test('those of IPv6 are told apart, with its own words; of both families with IPv4', () => {
  const docker6 = listing('ip6 filter', hooked('FORWARD', 'forward', 'drop'), 'DOCKER-USER {');
  const ufw6 = listing('ip6 filter', hooked('INPUT', 'input', 'drop'), 'ufw6-before-input {');
  const both = listing('inet mine', hooked('f', 'forward', 'drop'));
  const chains = parseChains(own + docker + docker6 + both);
  assert.deepEqual(
    obstaclesAmong(chains, never, 6).map((line) => /`ip6tables -I DOCKER-USER -i cn\+/.test(line)),
    [true],
  );
  assert.match(obstaclesAmong(parseChains(ufw6), never, 6).join(), /ufw allow from SUBNET .* with its subnet of IPv6/);
  assert.equal(obstaclesAmong(chains, never).length, 2);
});

test('a firewall that lets our links through, or is not about IPv4, is no obstacle', () => {
  assert.deepEqual(
    obstaclesAmong(parseChains(docker), (family, table) => family === 'ip' && table === 'filter'),
    [],
  );
  assert.deepEqual(obstaclesAmong(parseChains(listing('ip6 filter', hooked('FORWARD', 'forward', 'drop'))), never), []);
});
