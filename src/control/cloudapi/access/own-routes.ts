/**
 * Routes of our own API that an account's users may come by, each with the action that a rule must grant and what it is about, in CloudAPI's words:
 * so the same roles and policies hold on both. Where CloudAPI has no such action the name is ours. What is not here is for the account's own key and its administrators.
 */

interface Granted {
  action: string;
  /** A path of CloudAPI's: roles are tagged on what it is about. */
  about: string;
}

const machines = '/:account/machines';
const machine = '/:account/machines/:machine';

const granted: Readonly<Record<string, [action: string, about: string]>> = {
  'GET /v1/machines': ['ListMachines', machines],
  'POST /v1/machines': ['CreateMachine', machines],
  'GET /v1/machines/:id': ['GetMachine', machine],
  'DELETE /v1/machines/:id': ['DeleteMachine', machine],
  'POST /v1/machines/:id/start': ['StartMachine', machine],
  'POST /v1/machines/:id/stop': ['StopMachine', machine],
  'POST /v1/machines/:id/reboot': ['RebootMachine', machine],
  'POST /v1/machines/:id/rename': ['RenameMachine', machine],
  'POST /v1/machines/:id/resize': ['ResizeMachine', machine],
  'POST /v1/machines/:id/metadata': ['UpdateMachineMetadata', machine],
  'POST /v1/machines/:id/update': ['UpdateMachine', machine],
  'PUT /v1/machines/:id/code': ['UpdateMachine', machine],
  'GET /v1/machines/:id/jobs': ['MachineAudit', machine],
  'GET /v1/machines/:id/usage': ['GetMachineUsage', machine],
  'GET /v1/machines/:id/processes': ['ListMachineProcesses', machine],
  'GET /v1/machines/:id/logs': ['GetMachineLogs', machine],
  'GET /v1/machines/:id/files': ['GetMachineFiles', machine],
  'PUT /v1/machines/:id/files': ['PutMachineFiles', machine],
  'GET /v1/machines/:id/exec': ['ExecMachine', machine],
  'GET /v1/machines/:id/fwrules': ['ListMachineFirewallRules', machine],
  'GET /v1/machines/:id/snapshots': ['ListMachineSnapshots', machine],
  'POST /v1/machines/:id/snapshots': ['CreateMachineSnapshot', machine],
  'DELETE /v1/machines/:id/snapshots/:name': ['DeleteMachineSnapshot', machine],
  'POST /v1/machines/:id/snapshots/:name/rollback': ['StartMachineFromSnapshot', machine],
  'GET /v1/packages': ['ListPackages', '/:account/packages'],
  'GET /v1/images': ['ListImages', '/:account/images'],
};

export const userRoutes = Object.keys(granted);

/** Undefined: not for users, but administrators. */
export const grantedOf = (route: string): Granted | undefined => {
  if (!Object.hasOwn(granted, route)) return undefined;
  const [action, about] = granted[route]!;
  return { action, about };
};

/** Says nothing but who calls, or makes a token that is worth no more than the user's key. */
export const isForAnyUser = (route: string): boolean => route === 'GET /v1/info' || route === 'POST /v1/accounts/:id/tokens';
