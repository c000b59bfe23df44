/** Every suite, in the order in which they run and stand in the document. */
import type { Suite } from '../lib/suite.ts';
import { densitySuite } from './density.ts';
import { execSuite } from './exec.ts';
import { insideSuite } from './inside.ts';
import { listSuite } from './list.ts';
import { peersSuite } from './peers.ts';
import { resizeSuite } from './resize.ts';
import { snapshotSuite } from './snapshot.ts';
import { startSuite } from './start.ts';

export const suites: readonly Suite[] = [startSuite, peersSuite, execSuite, snapshotSuite, resizeSuite, listSuite, insideSuite, densitySuite];
