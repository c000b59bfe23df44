/** Large figures with a few words under each. */
import { group, text } from './svg.ts';

export interface Tile {
  figure: string;
  words: readonly string[];
}

export const tileHeight = 66;

export const tiles = (all: readonly Tile[], width: number, side: 'slice' | 'pool'): string =>
  all
    .map(({ figure, words }, index) => {
      const x = (width / all.length) * index;
      return group({}, text(x, 24, figure, { class: `figure ${side}` }), ...words.map((line, row) => text(x, 43 + row * 15, line, { class: 'small' })));
    })
    .join('');
