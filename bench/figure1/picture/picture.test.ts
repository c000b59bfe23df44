import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { rowsOf } from '../rows.ts';
import { exampleData } from './example.ts';
import { answeredPercent, duration, tenantColour } from './look.ts';
import { drawFigure } from './picture.ts';
import { linear, logarithmic, roundUp, ticks } from './scale.ts';
import { element, escaped, text } from './svg.ts';

const provenance = { at: '2026-01-02T03:04:05Z', host: { cpu: 'a <CPU> & more', cores: 2, memoryMib: 4096, kernel: '6.1' } };

/** Tags that open and close in order, attributes in quotes, no bare ampersand: what a reader of XML demands. */
const assertWellFormed = (svg: string): void => {
  const open: string[] = [];
  const rest = svg.replaceAll(/<(\/?)([a-z]+)((?: [A-Za-z0-9:-]+="[^"<]*")*)(\/?)>/g, (_, closing: string, name: string, _attributes, alone: string) => {
    if (closing === '/') assert.equal(open.pop(), name);
    else if (alone === '') open.push(name);
    return '';
  });
  assert.deepEqual(open, []);
  assert.equal(/.{0,80}([<>]|&(?!amp;|lt;|gt;|quot;))/.exec(rest)?.[0], undefined);
};
const assertOnlyNumbers = (svg: string): void => assert.equal(/.{0,80}(NaN|Infinity|undefined|null)/.exec(svg)?.[0], undefined);

test('the picture is well-formed, and has no number that is none', () => {
  const svg = drawFigure(exampleData(), provenance);
  assertWellFormed(svg);
  assertOnlyNumbers(svg);
});

test('what was not measured is said, and drawn without', () => {
  const data = { ...exampleData(), guest: null, patch: null };
  data.steps.machines.fullSpeedMs = [null];
  const svg = drawFigure(data, provenance);
  assertWellFormed(svg);
  assertOnlyNumbers(svg);
  assert.match(svg, /could not be measured here/);
});

test('every tenant has a colour, however many there are', () => {
  for (const tenants of [1, 3, 8, 64]) for (let tenant = 0; tenant < tenants; tenant += 1) assert.match(tenantColour(tenant, tenants), /^#[0-9a-f]{6}$/);
});

test('rows say both sides of what the example has', () => {
  const rows = rowsOf(exampleData());
  assert.ok(rows.every(({ what, value }) => what !== '' && !/NaN|Infinity|undefined|null/.test(value)));
  assert.match(rows[0]!.value, /^slices: \d+ of \d+/);
  assert.match(rows[0]!.against!, /^pool: \d+ of \d+/);
});

test('text is escaped', () => {
  assert.equal(escaped('a<b & "c">'), 'a&lt;b &amp; &quot;c&quot;&gt;');
  assert.equal(text(1, 2.345, 'a&b', { class: 'x"y' }), '<text x="1" y="2.35" class="x&quot;y">a&amp;b</text>');
  assert.equal(element('g', { id: undefined }), '<g/>');
});

test('scales keep to their range and order', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.5, max: 1e6, noNaN: true }), fc.double({ min: 0.5, max: 1e6, noNaN: true }), (one, other) => {
      for (const scale of [linear(0, 1000, [0, 200]), logarithmic(1, 1000, [0, 200])]) {
        assert.ok(scale(one) >= 0 && scale(one) <= 200);
        assert.ok(one <= other === scale(one) <= scale(other) || scale(one) === scale(other));
      }
    }),
  );
});

test('round values are round, and not less', () => {
  assert.deepEqual([0.7, 1, 3, 612, 18].map(roundUp), [1, 1, 5, 1000, 20]);
  assert.deepEqual(ticks(2, 4), [0, 0.5, 1, 1.5, 2]);
  assert.deepEqual(ticks(96, 6), [0, 20, 40, 60, 80]);
});

test('durations and shares read well, and never as more than they are', () => {
  assert.deepEqual([3.14159, 42.4, 999, 1234, 12_345].map(duration), ['3.1 ms', '42 ms', '1.0 s', '1.2 s', '12 s']);
  assert.deepEqual([answeredPercent(99_999, 100_000), answeredPercent(10, 10), answeredPercent(595, 1000)], ['99.99 %', '100 %', '59.5 %']);
});
