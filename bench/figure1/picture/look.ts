/** Colours, type and words for figures. One card with its own ground, so that it is the same on light pages and dark ones; colours that the colour-blind tell apart. */

export const colours = {
  ground: '#fcfcfa',
  edge: '#d8d8d2',
  ink: '#1d2429',
  soft: '#5b656c',
  faint: '#8b959c',
  grid: '#e6e7e3',
  quiet: '#eef0ee',
  slice: '#b4501e',
  sliceGround: '#f8ebe3',
  pool: '#1f6a9e',
  poolGround: '#e4eef5',
  os: '#c9ced1',
} as const;

/** Viridis, without its palest end: ordered, as the peaks are. */
const tenantColours = ['#440154', '#472f7d', '#3a528b', '#2c728e', '#20908d', '#28ae80', '#5ec962', '#addc30'];
export const tenantColour = (tenant: number, tenants: number): string =>
  tenantColours[Math.floor((tenant / Math.max(1, tenants)) * tenantColours.length)] ?? tenantColours[0]!;
/** What is written on it. */
export const inkOn = (tenant: number, tenants: number): string => (tenant / tenants < 0.6 ? '#ffffff' : '#15201a');

export const style = [
  `text{font-family:'Inter','Helvetica Neue',Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif;font-size:13px;fill:${colours.ink}}`,
  `.title{font-size:26px;font-weight:600;letter-spacing:-.3px}`,
  `.head{font-size:19px;font-weight:600}`,
  `.label{font-size:14px;font-weight:600}`,
  `.soft{fill:${colours.soft}}`,
  `.small{font-size:11.5px;fill:${colours.soft}}`,
  `.figure{font-size:27px;font-weight:600;letter-spacing:-.5px}`,
  `.middle{text-anchor:middle}.end{text-anchor:end}`,
  `.slice{fill:${colours.slice}}.pool{fill:${colours.pool}}`,
].join('');

/** Milliseconds as people say them. */
export const duration = (ms: number): string => {
  if (ms >= 9950) return `${(ms / 1000).toFixed(0)} s`;
  if (ms >= 995) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 9.95 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(1)} ms`;
};

/** Never 100 where something is missing. */
export const answeredPercent = (answered: number, asked: number): string => {
  const share = answered / asked;
  if (answered === asked) return '100 %';
  return share > 0.99 ? `${(Math.floor(share * 10_000) / 100).toFixed(2)} %` : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
};
