/** The control plane killed at each step of create and delete, and while the agent works: nothing is lost and nothing is there twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ControlClient } from '../../src/client/control.ts';
import { eventually } from '../support/control-fixture.ts';
import { ended, inWorld, kill, startChild } from '../support/crash-world.ts';
import { databases } from '../support/databases.ts';
import type { SimulatedAgent } from '../support/simulated-agent.ts';

/** Control plane and agent agree, every action has ended, and no name or address is there twice. */
const assertWhole = async (agent: SimulatedAgent, client: ControlClient, expected: string[]): Promise<void> => {
  const machines = await eventually(
    () => client.machineList(),
    (list) => list.every(({ state }) => state === 'running') && list.length === expected.length,
  );
  assert.deepEqual(
    machines.map(({ name }) => name),
    expected,
  );
  assert.deepEqual([...agent.machines.keys()].toSorted(), machines.map(({ id }) => id).toSorted());
  assert.equal(new Set(machines.map(({ address }) => address)).size, machines.length);
  assert.deepEqual(agent.doubled, []);
  for (const { id } of machines) {
    // That a machine runs may be known from the host before its job has been repeated.
    const jobs = await eventually(
      () => client.machineJobs(id),
      (list) => list.every(({ finishedAt }) => finishedAt !== null),
    );
    assert.deepEqual(
      jobs.map(({ action, state }) => `${action} ${state}`),
      ['create succeeded'],
    );
  }
};

for (const database of databases) {
  const { skip } = database;
  for (const step of ['accepted', 'begin', 'answered', 'recorded']) {
    test(`${database.name}: killed at create:${step}`, { skip }, () =>
      inWorld(database, async (world) => {
        const { agent, client } = world;
        const doomed = await startChild(world, `create:${step}`);
        await assert.rejects(client.machineCreate({ name: 'one' }, { wait: 10 }));
        await ended(doomed);
        await startChild(world);
        await assertWhole(agent, client, ['one']);
        // The name and the address are held: the same again is refused, another is next to it.
        await assert.rejects(client.machineCreate({ name: 'one' }), { code: 'already_exists' });
        await client.machineCreate({ name: 'two' }, { wait: 10 });
        await assertWhole(agent, client, ['one', 'two']);
      }),
    );

    test(`${database.name}: killed at delete:${step}`, { skip }, () =>
      inWorld(database, async (world) => {
        const { agent, client } = world;
        let child = await startChild(world, `delete:${step}`);
        await client.machineCreate({ name: 'keeps' }, { wait: 10 });
        const { machine } = await client.machineCreate({ name: 'goes' }, { wait: 10 });
        await assert.rejects(client.machineDelete('goes', { wait: 10 }));
        await ended(child);
        child = await startChild(world);
        await assertWhole(agent, client, ['keeps']);
        assert.equal((await client.machineJobs(machine!.id))[0]!.state, 'succeeded');
        const again = await client.machineCreate({ name: 'goes' }, { wait: 10 });
        assert.equal(again.machine!.address, machine!.address);
      }),
    );
  }

  for (const when of ['before', 'after'] as const) {
    for (const method of ['PUT', 'DELETE']) {
      test(`${database.name}: killed while the agent answers ${method}, ${when} it acts`, { skip }, () =>
        inWorld(database, async (world) => {
          const { agent, client } = world;
          let child = await startChild(world);
          await client.machineCreate({ name: 'keeps' }, { wait: 10 });
          if (method === 'DELETE') await client.machineCreate({ name: 'goes' }, { wait: 10 });
          agent.fault = (call) => {
            if (call.method !== method) return undefined;
            child.kill('SIGKILL');
            return { kind: 'drop', when };
          };
          await assert.rejects(method === 'PUT' ? client.machineCreate({ name: 'other' }, { wait: 10 }) : client.machineDelete('goes', { wait: 10 }));
          await ended(child);
          agent.fault = () => undefined;
          child = await startChild(world);
          await assertWhole(agent, client, method === 'PUT' ? ['keeps', 'other'] : ['keeps']);
        }),
      );
    }
  }

  test(`${database.name}: killed in the middle of a burst`, { skip }, () =>
    inWorld(database, async (world) => {
      const { agent, client } = world;
      let child = await startChild(world);
      const names = Array.from({ length: 120 }, (_, index) => `burst-${String(index).padStart(3, '0')}`);
      const answers = names.map((name) =>
        client.machineCreate({ name }).then(
          () => true,
          () => false,
        ),
      );
      await eventually(
        () => agent.machines.size,
        (size) => size >= 20,
      );
      await kill(child);
      const acknowledged = (await Promise.all(answers)).flatMap((yes, index) => (yes ? [names[index]!] : []));
      child = await startChild(world);
      const list = await eventually(
        () => client.machineList(),
        (machines) => machines.every(({ state }) => state === 'running'),
        60_000,
      );
      for (const name of acknowledged)
        assert.ok(
          list.some((machine) => machine.name === name),
          `${name} was acknowledged and is lost`,
        );
      await assertWhole(
        agent,
        client,
        list.map(({ name }) => name),
      );
    }),
  );
}
