/** How much of the pool stays free, when the governor begins to look at single machines, and how often it looks at all. */
const mib = 2 ** 20;
const gib = 2 ** 30;
const within = (least: number, value: number, most: number): number => Math.min(most, Math.max(least, value));

/** Always free: what the kernel keeps at hand for each CPU and group, and what moves between two looks. */
const floorOf = (poolBytes: number): number => within(4 * mib, poolBytes / 128, 64 * mib);
/** Free as long as guarantees are unclaimed: what a machine may claim while what others borrowed is being taken back. */
const mostForClaims = (poolBytes: number): number => within(16 * mib, poolBytes / 16, 2 * gib);

export const reserveFor = (poolBytes: number, unclaimedBytes: number): number => floorOf(poolBytes) + Math.min(unclaimedBytes, mostForClaims(poolBytes));

/** Whether so much is lent that guarantees could not all be claimed without taking back. */
export const isLent = (poolBytes: number, headroomBytes: number, unclaimedBytes: number): boolean => headroomBytes - floorOf(poolBytes) < unclaimedBytes;

/** A change of what the pool uses that is worth another look at who borrows. */
export const worthALook = (poolBytes: number): number => poolBytes / 32;

/** With less of swap left than this there is none to count on; with more than that, there is again. */
export const swapEndsBelow = (poolBytes: number): number => 4 * floorOf(poolBytes);
export const swapIsBackAbove = (poolBytes: number): number => 2 * swapEndsBelow(poolBytes);

/** Below this much free, borrowers are held to what can be given; far above the reserve, so that one that grows fast is seen in time. */
export const tightBelow = (poolBytes: number): number => floorOf(poolBytes) + mostForClaims(poolBytes) + within(64 * mib, poolBytes / 8, 4 * gib);
export const looseAbove = (poolBytes: number): number => tightBelow(poolBytes) * 1.25;

/** What the host's CPUs can fill at most, bytes a second. */
const fillRate = (cpus: number): number => cpus * 1.5 * gib;

/** Half the time in which what is free could be gone, and `sooner` a part of that. */
export const lookAfterMs = (freeBytes: number, cpus: number, sooner = 1): number => Math.max(10, within(10, (freeBytes / fillRate(cpus)) * 500, 1000) / sooner);

/** The longest that nobody governs while an agent stands still: until its stand-in has found out (host/cgroup/turn.ts). */
const unattendedSeconds = 0.8;
/** What machines can take meanwhile. */
export const takenUnattended = (cpus: number): number => fillRate(cpus) * unattendedSeconds;

/** While so little is free that all could be lent before anybody else governs, who begins to borrow is to be seen in an eighth of the time. */
export const soonerForBorrowers = 4;
