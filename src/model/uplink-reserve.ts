/** How much of what leads outside may be guaranteed. */

/** Never promised to machines: half of it is for the host's own traffic and other instances', half for whoever borrows. */
const reservePart = 0.05;
export const reserveMbps = (capacityMbps: number): number => Math.max(1, Math.ceil(capacityMbps * reservePart));

export const promisableMbps = (capacityMbps: number): number => Math.max(0, capacityMbps - reserveMbps(capacityMbps));
