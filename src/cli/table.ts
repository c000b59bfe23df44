/** Tables as text: columns padded to their widest cell, numbers to the right, nothing after the last column. Pure. */

export interface Column<Row> {
  /** The heading; its lower case is the column's name in `-o`. */
  title: string;
  cell: (row: Row) => string;
  right?: boolean;
  /** Not shown unless asked for with `-o`. */
  hidden?: boolean;
  /** Where there is no room, columns with the highest number go first; those without stay. */
  yields?: number;
}

/** Cells come from machines too: what could move a terminal's cursor is shown as `?`. */
export const printable = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '?');

/** Columns a terminal uses for a text: wide East Asian letters and emoji take two, marks on letters none. */
export const displayWidth = (text: string): number => {
  if (/^[\u0020-\u007e]*$/.test(text)) return text.length;
  let width = 0;
  for (const letter of text) {
    if (/^\p{Mark}$/u.test(letter)) continue;
    width += /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}$/u.test(letter) ? 2 : 1;
  }
  return width;
};

export interface TableOptions {
  header?: boolean;
  /** Dresses a cell after it was measured: colour. */
  dress?: (text: string, title: string) => string;
}

export const renderTable = <Row>(rows: readonly Row[], columns: readonly Column<Row>[], options: TableOptions = {}): string[] => {
  const cells = rows.map((row) => columns.map((column) => printable(column.cell(row))));
  const header = (options.header ?? true) ? [columns.map((column) => column.title)] : [];
  const widths = columns.map((_, index) => Math.max(0, ...[...header, ...cells].map((line) => displayWidth(line[index]!))));
  const format = (line: readonly string[], dress: (text: string, title: string) => string): string =>
    line
      .map((text, index) => {
        const column = columns[index]!;
        const padding = ' '.repeat(widths[index]! - displayWidth(text));
        const dressed = dress(text, column.title);
        if (column.right === true) return padding + dressed;
        return index === columns.length - 1 ? dressed : dressed + padding;
      })
      .join('  ')
      .trimEnd();
  return [...header.map((line) => format(line, (text) => text)), ...cells.map((line) => format(line, options.dress ?? ((text) => text)))];
};

/** The columns that there is room for, and the headings of those that there is not. */
export const fitColumns = <Row>(rows: readonly Row[], columns: readonly Column<Row>[], width: number): { fitting: readonly Column<Row>[]; gone: string[] } => {
  let fitting = columns;
  while (Math.max(...renderTable(rows, fitting).map(displayWidth)) > width) {
    const first = Math.max(...fitting.map(({ yields = 0 }) => yields));
    if (first === 0) break;
    fitting = fitting.filter(({ yields = 0 }) => yields !== first);
  }
  return { fitting, gone: columns.filter((column) => !fitting.includes(column)).map(({ title }) => title) };
};

/** Lines as wide as there is room for, broken between words. */
export const wrapped = (text: string, width: number): string[] => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && displayWidth(longer) > width) {
      lines.push(line.trimEnd());
      line = word;
    } else line = longer;
  }
  return [...lines, line];
};
