import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { detailLines } from './details.ts';
import { displayWidth, fitColumns, printable, renderTable } from './table.ts';

const columns = [
  { title: 'NAME', cell: (row: { name: string; size: string }) => row.name },
  { title: 'SIZE', cell: (row: { name: string; size: string }) => row.size, right: true },
] as const;

describe('a table', () => {
  it('pads words to the right and numbers to the left, and nothing at the end', () => {
    assert.deepEqual(
      renderTable(
        [
          { name: 'web', size: '5' },
          { name: 'longer', size: '1024' },
        ],
        columns,
      ),
      ['NAME    SIZE', 'web        5', 'longer  1024'],
    );
    assert.deepEqual(renderTable([{ name: 'a', size: 'b' }], [columns[1], columns[0]]), ['SIZE  NAME', '   b  a']);
  });

  it('gives up, where there is no room, the columns that matter least', () => {
    const cell = (): string => '123456';
    const wide = [
      { title: 'A', cell },
      { title: 'B', cell, yields: 1 },
      { title: 'C', cell, yields: 2 },
      { title: 'D', cell, yields: 2 },
      { title: 'E', cell },
    ];
    const titles = (width: number): string =>
      fitColumns([0], wide, width)
        .fitting.map(({ title }) => title)
        .join('');
    assert.deepEqual([38, 37, 22, 21, 5].map(titles), ['ABCDE', 'ABE', 'ABE', 'AE', 'AE']);
    assert.deepEqual(fitColumns([0], wide, 30).gone, ['C', 'D']);
    assert.deepEqual(fitColumns([], wide, 80).gone, []);
  });

  it('leaves the headings away', () => {
    assert.deepEqual(renderTable([{ name: 'web', size: '5' }], columns, { header: false }), ['web  5']);
    assert.deepEqual(renderTable([], columns, { header: false }), []);
  });

  it('measures before it colours', () => {
    const dressed = renderTable([{ name: 'web', size: '5' }], columns, { dress: (text) => `<${text}>` });
    assert.deepEqual(dressed, ['NAME  SIZE', '<web>      <5>']);
  });

  it('counts wide letters twice', () => {
    assert.equal(displayWidth('日本'), 4);
    assert.equal(displayWidth('e\u0301'), 1);
    assert.deepEqual(
      renderTable(
        [
          { name: '日本', size: '1' },
          { name: 'abcd', size: '2' },
        ],
        columns,
        { header: false },
      ),
      ['日本  1', 'abcd  2'],
    );
  });

  it('never moves the cursor, whatever a cell holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const lines = renderTable([{ name: text, size: '1' }], columns);
        assert.equal(lines.length, 2);
        assert(!/[\u0000-\u001f\u007f-\u009f]/.test(lines.join('')));
      }),
    );
    assert.equal(printable('a\u001b[2Jb\n'), 'a?[2Jb?');
  });
});

describe('details', () => {
  it('align values, repeat no name and leave out what is empty', () => {
    assert.deepEqual(
      detailLines([
        ['Name', 'web'],
        ['Tags', ['a=1', 'b=2']],
        ['None', []],
        ['Null', null],
        ['Number', 0],
      ]),
      ['Name:   web', 'Tags:   a=1', '        b=2', 'Number: 0'],
    );
  });
});
