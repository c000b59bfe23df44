/** Where machines' questions go: a port to which they could not be led is not taken for done. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { run } from '../../src/exec/run.ts';
import { Backbone } from '../../src/host/network/backbone.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import { driverFiles, logger, subnet } from './driver-world.ts';
import { becomeHost, until } from './network-world.ts';

const { instance, resolvConfPath, tidy } = driverFiles('led');
const instanceNumber = 7;
/** No port: the kernel takes no such rules. */
const refused = 70_000;
after(tidy);

test('rules that are refused are loaded again when it is asked for again', async () => {
  await becomeHost();
  const network = await openNetwork({ instance, instanceNumber, subnet, logger, resolvConfPath });
  for (let time = 0; time < 2; time += 1) assert.throws(() => network.resolverAt(refused), /nftables/);
  network.resolverAt(53);
  network.resolverAt(5353);
  assert.match(await run('nft', ['list', 'ruleset']), /5353/);
  await network.close({ remove: true });
});

test('those of the backbone too, and nobody who waits for it need hear of it', async () => {
  await becomeHost();
  const said: string[] = [];
  const telling = createLogger({ name: 'test', level: 'error', destination: { write: (line) => void said.push(line) } });
  const backbone = new Backbone({ instance, instanceNumber, logger: telling });
  await backbone.segment();
  backbone.resolverAt(refused);
  await until(() => said.length === 1);
  assert.match(said[0]!, /nftables/);
  await assert.rejects(backbone.segment(), /nftables/);
  backbone.resolverAt(5353);
  await until(async () => /5353/.test(await run('nft', ['list', 'ruleset'])));
  await backbone.close({ remove: true });
});
