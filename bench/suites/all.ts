/** Every suite, in the order in which they run and stand in the document. The first needs more of the host than the others leave. */
import type { Suite } from '../lib/suite.ts';
import { cloudapiSuite } from './cloudapi.ts';
import { densitySuite } from './density.ts';
import { diskSuite } from './disk.ts';
import { dnsSuite } from './dns.ts';
import { execSuite } from './exec.ts';
import { figure1Suite } from './figure1.ts';
import { firewallSuite } from './firewall.ts';
import { insideSuite } from './inside.ts';
import { listSuite } from './list.ts';
import { neighboursSuite } from './neighbours.ts';
import { networksSuite } from './networks.ts';
import { peersSuite } from './peers.ts';
import { poolSuite } from './pool.ts';
import { resizeSuite } from './resize.ts';
import { snapshotSuite } from './snapshot.ts';
import { startSuite } from './start.ts';
import { uplinkSuite } from './uplink.ts';

export const suites: readonly Suite[] = [
  figure1Suite,
  startSuite,
  peersSuite,
  execSuite,
  snapshotSuite,
  resizeSuite,
  firewallSuite,
  networksSuite,
  neighboursSuite,
  dnsSuite,
  cloudapiSuite,
  listSuite,
  insideSuite,
  poolSuite,
  diskSuite,
  uplinkSuite,
  densitySuite,
];
