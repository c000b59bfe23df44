/** Terrain from layered value noise, shaded from the north-west, as a PNG. Every tile takes about the same time. */
import { crc32, deflateSync } from 'node:zlib';

const size = 96;
const layers = 5;

/** A fixed pseudo-random height from 0 to 1 for each corner of the lattice. */
const corner = (x, y) => {
  let mixed = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
};

const smooth = (t) => t * t * (3 - 2 * t);

const noise = (x, y) => {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [across, down] = [smooth(x - left), smooth(y - top)];
  const upper = corner(left, top) * (1 - across) + corner(left + 1, top) * across;
  const lower = corner(left, top + 1) * (1 - across) + corner(left + 1, top + 1) * across;
  return upper * (1 - down) + lower * down;
};

const height = (x, y) => {
  let sum = 0;
  for (let layer = 0, scale = 1 / 64, weight = 0.5; layer < layers; layer += 1, scale *= 2, weight /= 2) sum += noise(x * scale, y * scale) * weight;
  return sum;
};

/** Sea, shore, grass, rock, snow: the height below which, and the colour. */
const ground = [
  [0.42, [58, 110, 165]],
  [0.46, [214, 196, 146]],
  [0.62, [104, 146, 92]],
  [0.72, [132, 124, 116]],
  [2, [236, 238, 240]],
];

const chunk = (type, data) => {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
};

const header = Buffer.from([0, 0, 0, size, 0, 0, 0, size, 8, 2, 0, 0, 0]);
const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

export const tilePng = (tileX, tileY) => {
  const wide = size + 1;
  const heights = new Float32Array(wide * wide);
  for (let y = 0; y < wide; y += 1) for (let x = 0; x < wide; x += 1) heights[y * wide + x] = height(tileX * size + x, tileY * size + y);
  const pixels = Buffer.alloc(size * (size * 3 + 1));
  for (let y = 0, at = 0; y < size; y += 1) {
    at += 1; // each line begins with its filter: none
    for (let x = 0; x < size; x += 1) {
      const here = heights[y * wide + x];
      const light = 1 + (here - heights[(y + 1) * wide + x + 1]) * 12;
      const [, colour] = ground.find(([below]) => here < below);
      for (const part of colour) pixels[at++] = Math.max(0, Math.min(255, part * light));
    }
  }
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(pixels, { level: 1 })), chunk('IEND', Buffer.alloc(0))]);
};
