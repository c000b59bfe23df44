/**
 * How dropped packets are counted, in nft's language: for the whole network by reason, and for the machine at the link where they came from or
 * were to go. The mark that a packet is given for it is seen by nobody: it goes no further.
 */
import { declarationOf } from './set-shapes.ts';
import type { SetShape } from './set-shapes.ts';

const marks = { spoofed: 1, refused: 2, strangers: 3, malformed: 4, crowded: 5 } as const;
type Reason = keyof typeof marks;
export const reasons = Object.keys(marks) as Reason[];

export const reasonOf = (mark: number): Reason | undefined => reasons.find((reason) => marks[reason] === mark);

export const dropShape: SetShape = { key: ['ifname', 'mark'], more: ' size 65535; flags dynamic; counter;' };

export const dropCounters = `${reasons.map((reason) => `counter ${reason} { }`).join('\n  ')}
  set dropped { ${declarationOf(dropShape)} }`;

/** Before the verdict. */
export const countDropped = (reason: Reason, link: 'iifname' | 'oifname'): string =>
  `meta mark set ${marks[reason]} update @dropped { ${link} . meta mark } counter name ${reason}`;

/** All that is counted of a link. */
export const dropsOf = (link: string): string[] => reasons.map((reason) => `"${link}" . ${marks[reason]}`);
