/** SVG as text, and nothing more of it than the picture needs: elements are strings, numbers have at most two places. */

export type Attributes = Record<string, string | number | undefined>;

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
export const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => escapes[character]!);
export const number = (value: number): string => String(Math.round(value * 100) / 100);

export const element = (name: string, attributes: Attributes, ...children: string[]): string => {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? number(value) : escaped(value!)}"`)
    .join('');
  return children.length === 0 ? `<${name}${written}/>` : `<${name}${written}>${children.join('')}</${name}>`;
};

export const group = (attributes: Attributes, ...children: string[]): string => element('g', attributes, ...children);
export const at = (x: number, y: number, ...children: string[]): string => group({ transform: `translate(${number(x)} ${number(y)})` }, ...children);
export const rectangle = (x: number, y: number, width: number, height: number, attributes: Attributes): string =>
  element('rect', { x, y, width, height, ...attributes });
export const line = (x1: number, y1: number, x2: number, y2: number, attributes: Attributes): string => element('line', { x1, y1, x2, y2, ...attributes });
export const text = (x: number, y: number, words: string, attributes: Attributes = {}): string => element('text', { x, y, ...attributes }, escaped(words));

export interface Point {
  x: number;
  y: number;
}

const corners = (points: readonly Point[]): string => points.map(({ x, y }) => `${number(x)} ${number(y)}`).join('L');
export const curve = (points: readonly Point[], attributes: Attributes): string => element('path', { d: `M${corners(points)}`, fill: 'none', ...attributes });
/** Between an upper and a lower edge, both from left to right. */
export const band = (upper: readonly Point[], lower: readonly Point[], attributes: Attributes): string =>
  element('path', { d: `M${corners([...upper, ...lower.toReversed()])}Z`, ...attributes });

export interface DocumentOptions {
  width: number;
  height: number;
  title: string;
  description: string;
  style: string;
}

export const document = ({ width, height, title, description, style }: DocumentOptions, ...children: string[]): string =>
  `${element(
    'svg',
    { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-labelledby': 'title description' },
    element('title', { id: 'title' }, escaped(title)),
    element('desc', { id: 'description' }, escaped(description)),
    element('style', {}, style),
    ...children.map((child) => `\n${child}`),
  )}\n`;
