/** The paper's two stacks, with this host's tenants and sizes in them. */
import type { Figure1Data } from '../data.ts';
import { colours, inkOn, tenantColour } from './look.ts';
import { rectangle, text } from './svg.ts';

const gap = 6;
const heights = { app: 40, os: 34, layer: 26, resource: 44, hardware: 30 };
export const stackHeight = Object.values(heights).reduce((sum, height) => sum + height, 0) + gap * 4;

const corner = { rx: 4 };

/** A row across the whole width, or one box for each tenant. */
const box = (
  x: number,
  y: number,
  width: number,
  height: number,
  fill: string,
  words: string,
  attributes: { ink?: string; edge?: string; dash?: string } = {},
): string =>
  rectangle(x, y, width, height, { ...corner, fill, stroke: attributes.edge, 'stroke-dasharray': attributes.dash }) +
  text(x + width / 2, y + height / 2 + 4.5, words, { class: 'middle', style: attributes.ink === undefined ? undefined : `fill:${attributes.ink}` });

const perTenant = (tenants: number, width: number, draw: (x: number, width: number, tenant: number) => string): string => {
  const each = (width - gap * (tenants - 1)) / tenants;
  return Array.from({ length: tenants }, (_, tenant) => draw(tenant * (each + gap), each, tenant)).join('');
};

const appRow = (tenants: number, width: number): string =>
  perTenant(tenants, width, (x, each, tenant) =>
    box(x, 0, each, heights.app, tenantColour(tenant, tenants), each > 44 ? `app ${tenant + 1}` : each > 22 ? String(tenant + 1) : '', {
      ink: inkOn(tenant, tenants),
    }),
  );

const cores = (millis: number): string => String(Math.round(millis) / 1000);

export const sliceStack = ({ sizes, cores: all }: Figure1Data, width: number): string => {
  const { tenants, sliceCpuMillis, sliceMemoryMib } = sizes;
  const osY = heights.app + gap;
  const layerY = osY + heights.os + gap;
  const resourceY = layerY + heights.layer + gap;
  const hardwareY = resourceY + heights.resource + gap;
  const slices = perTenant(tenants, width, (x, each) => {
    const frame = rectangle(x, resourceY, each, heights.resource, { ...corner, fill: colours.sliceGround, stroke: colours.slice, 'stroke-width': 1.2 });
    if (each < 44) return frame;
    const middle = { class: 'middle small', style: `fill:${colours.slice}` };
    return (
      frame + text(x + each / 2, resourceY + 18, `${cores(sliceCpuMillis)} core`, middle) + text(x + each / 2, resourceY + 34, `${sliceMemoryMib} MiB`, middle)
    );
  });
  return [
    appRow(tenants, width),
    perTenant(tenants, width, (x, each) => box(x, osY, each, heights.os, colours.os, each > 22 ? 'OS' : '')),
    box(0, layerY, width, heights.layer, colours.quiet, 'hypervisor', { edge: colours.edge }),
    slices,
    box(0, hardwareY, width, heights.hardware, '#59636a', `physical hardware: ${all} cores`, { ink: '#ffffff' }),
  ].join('');
};

export const poolStack = ({ sizes, cores: all }: Figure1Data, width: number): string => {
  const osY = heights.app + gap;
  const osHeight = heights.os + gap + heights.layer;
  const resourceY = osY + osHeight + gap;
  const hardwareY = resourceY + heights.resource + gap;
  const pool = rectangle(0, resourceY, width, heights.resource, { ...corner, fill: colours.poolGround, stroke: colours.pool, 'stroke-width': 1.2 });
  const middle = { class: 'middle', style: `fill:${colours.pool}` };
  return [
    appRow(sizes.tenants, width),
    rectangle(0, osY, width, osHeight, { ...corner, fill: colours.os }),
    text(width / 2, osY + osHeight / 2 - 4, 'one operating system, which is also the virtualization layer', { class: 'middle' }),
    text(width / 2, osY + osHeight / 2 + 14, 'managed once', { class: 'middle small' }),
    pool,
    text(width / 2, resourceY + 18, 'one resource pool', middle),
    text(width / 2, resourceY + 35, `guaranteed to each what a slice has; beyond it, whatever is idle`, {
      class: 'middle small',
      style: `fill:${colours.pool}`,
    }),
    box(0, hardwareY, width, heights.hardware, '#59636a', `physical hardware: ${all} cores`, { ink: '#ffffff' }),
  ].join('');
};
