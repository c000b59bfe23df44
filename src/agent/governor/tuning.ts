/** What this host's governor goes by, the agent's and the stand-in's. */
import { availableParallelism, totalmem } from 'node:os';
import type { Tuning } from './decide.ts';

/** Of the host's memory, what must stay available for the host itself: half of what the allotment keeps back for it. */
const hostFloorShare = 0.025;

export const hostTuning = (): Tuning => ({ cpus: availableParallelism(), hostFloorBytes: Math.floor(totalmem() * hostFloorShare) });
