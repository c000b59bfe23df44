/** Figures as people read them. */
import type { Summary } from './statistics.ts';

export const ms = (value: number): string => `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ms`;
export const p50p99 = ({ p50, p99, n }: Summary): string => `p50 ${ms(p50)}, p99 ${ms(p99)} (n=${n})`;
export const rate = (perSecond: number): string => `${perSecond.toFixed(1)} a second`;
export const times = (ratio: number): string => `${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(2)}×`;
export const mib = (value: number): string => `${value.toFixed(2)} MiB`;
export const metOrNot = (met: boolean, target: string): string => `${met ? 'met' : 'not met'}: ${target}`;
