/** The figure's benchmark, small: it runs, its books agree, and the picture can be drawn of what it found. How fast anything was is not judged. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Figure1Data } from '../../bench/figure1/data.ts';
import { drawFigure } from '../../bench/figure1/picture/picture.ts';
import { figure1Suite } from '../../bench/suites/figure1.ts';
import { hostFacts } from '../../bench/lib/host.ts';
import { skipInstance } from '../support/instance.ts';

it('the figure can be measured, small', { skip: skipInstance }, async (context) => {
  const { rows, data } = await figure1Suite.run({
    count: (_full, small) => small,
    note: (text) => context.diagnostic(text),
    instance: () => Promise.reject(new Error('the figure has an instance of its own')),
  });
  const { cuts, together, askedBySecond, sizes, steps, patch, machine, missing } = data as unknown as Figure1Data;
  const asked = askedBySecond.flat().reduce((sum, one) => sum + one, 0);
  for (const cut of [cuts.slice, cuts.pool]) {
    assert.equal(cut.asked, asked);
    assert.equal(cut.answered + cut.late + cut.failed, asked);
    assert.ok(cut.answered > 0 && cut.cpuSeconds > 0);
    assert.equal(cut.failed, 0);
  }
  for (const cut of [together.slice, together.pool]) assert.ok(cut.answered > 0 && cut.answered <= cut.asked);
  // What a slice is too small for is refused by the app, and fits the pool.
  assert.deepEqual([cuts.slice.reports.refused, cuts.pool.reports.refused], [sizes.tenants, 0]);
  assert.ok(Math.max(...cuts.slice.cpu.flatMap(({ tenants }) => tenants)) < 1);
  assert.equal(steps.resize.remedyMs.length, 1);
  assert.equal(steps.machines.remedyMs.length, steps.machines.addedMachines);
  assert.ok(patch === null || patch.seeIt === patch.machines, JSON.stringify(missing));
  assert.ok(machine.appMib > 0 && machine.firstAnswerMs.length > 0);
  assert.ok(rows.length > 10);
  assert.match(drawFigure(data as unknown as Figure1Data, { at: new Date().toISOString(), host: hostFacts() }), /^<svg [^]*<\/svg>\n$/);
});
