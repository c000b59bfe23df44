/** Every suite, in the order in which they run and stand in the document. */
import type { Suite } from '../lib/suite.ts';
import { peersSuite } from './peers.ts';
import { startSuite } from './start.ts';

export const suites: readonly Suite[] = [startSuite, peersSuite];
