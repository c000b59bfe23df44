/** All of CloudAPI that there is. */
import type { Endpoint } from '../endpoint.ts';
import { accessKeyEndpoints } from './access-key.ts';
import { accountEndpoints } from './account.ts';
import { datacenterEndpoints } from './datacenter.ts';
import { fabricEndpoints } from './fabric.ts';
import { firewallEndpoints } from './firewall.ts';
import { imageEndpoints } from './image.ts';
import { keyEndpoints } from './key.ts';
import { machineActionEndpoints } from './machine-action.ts';
import { machineEndpoints } from './machine.ts';
import { metadataEndpoints } from './metadata.ts';
import { networkEndpoints } from './network.ts';
import { nicEndpoints } from './nic.ts';
import { packageEndpoints } from './package.ts';
import { roleEndpoints } from './role.ts';
import { roleTagEndpoints } from './role-tag.ts';
import { snapshotEndpoints } from './snapshot.ts';
import { tagEndpoints } from './tag.ts';
import { unavailableEndpoints } from './unavailable.ts';
import { userEndpoints } from './user.ts';

export const endpoints: readonly Endpoint[] = [
  ...datacenterEndpoints,
  ...accountEndpoints,
  ...keyEndpoints,
  ...accessKeyEndpoints,
  ...packageEndpoints,
  ...imageEndpoints,
  ...networkEndpoints,
  ...fabricEndpoints,
  ...machineEndpoints,
  ...machineActionEndpoints,
  ...snapshotEndpoints,
  ...tagEndpoints,
  ...metadataEndpoints,
  ...nicEndpoints,
  ...firewallEndpoints,
  ...userEndpoints,
  ...roleEndpoints,
  ...roleTagEndpoints,
  ...unavailableEndpoints,
];
