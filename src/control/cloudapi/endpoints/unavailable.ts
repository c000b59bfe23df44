/**
 * What CloudAPI has and this datacenter has not: a list of it is empty, and whatever would make or change one is refused before anything is
 * looked at.
 */
import { Type } from 'typebox';
import type { Endpoint, Method } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { notFound, notImplemented, Refusal } from '../refusal.ts';
import { machineOf } from './machine.ts';

const none = Type.Object({});

const refused = (name: string, method: Method, path: string, what: string, action?: string): Endpoint =>
  endpoint({
    name,
    method,
    path,
    ...(action === undefined ? {} : { action }),
    parameters: none,
    prefixes: [''],
    answer: null,
    handle: () => {
      throw notImplemented(what);
    },
  });

const empty = (name: string, path: string): Endpoint =>
  endpoint({
    name,
    method: 'GET',
    path,
    parameters: none,
    answer: Type.Array(Type.Unknown()),
    handle: () => ({ body: [], headers: { 'x-query-limit': '1000', 'x-resource-count': '0' } }),
  });

const missing = (name: string, path: string, what: string): Endpoint =>
  endpoint({
    name,
    method: 'GET',
    path,
    parameters: none,
    answer: Type.Object({}),
    handle: () => {
      throw notFound(what);
    },
  });

/** Of a machine that there is. */
const ofMachine = (name: string, method: Method, path: string, refusal: () => Refusal, action?: string): Endpoint =>
  endpoint({
    name,
    method,
    path: `/:account/machines/:machine${path}`,
    ...(action === undefined ? {} : { action }),
    parameters: none,
    prefixes: [''],
    answer: null,
    handle: async (call) => {
      await machineOf(call);
      throw refusal();
    },
  });

const volumes = 'a shared volume';
const disks = () => new Refusal(409, 'NotSupported', 'an instance that is a container has no disks of its own to add or change');
const migration = () => notImplemented('migration');

export const unavailableEndpoints = [
  empty('ListVolumes', '/:account/volumes'),
  empty('ListVolumeSizes', '/:account/volumesizes'),
  missing('GetVolume', '/:account/volumes/:volume', 'volume'),
  refused('CreateVolume', 'POST', '/:account/volumes', volumes),
  refused('UpdateVolume', 'POST', '/:account/volumes/:volume', volumes),
  refused('DeleteVolume', 'DELETE', '/:account/volumes/:volume', volumes),

  refused('ImportImageFromDatacenter', 'POST', '/:account/images', 'another datacenter', 'import-from-datacenter'),
  refused('ExportImage', 'POST', '/:account/images/:image', 'exporting an image', 'export'),

  empty('ListMigrations', '/:account/migrations'),
  missing('GetMigration', '/:account/migrations/:machine', 'migration'),
  ofMachine('MigrateMachineEstimate', 'GET', '/migrate', migration),
  ofMachine('MigrateMachine', 'POST', '/migrate', migration),

  ofMachine('ListMachineDisks', 'GET', '/disks', disks),
  ofMachine('CreateMachineDisk', 'POST', '/disks', disks),
  ofMachine('GetMachineDisk', 'GET', '/disks/:disk', disks),
  ofMachine('ResizeMachineDisk', 'POST', '/disks/:disk', disks),
  ofMachine('DeleteMachineDisk', 'DELETE', '/disks/:disk', disks),
  ofMachine('ConnectMachineVNC', 'GET', '/vnc', () => new Refusal(400, 'MachineHasNoVNCError', 'an instance that is a container has no screen')),

  empty('ListForeignDatacenters', '/:account/foreigndatacenters'),
  refused('AddForeignDatacenter', 'POST', '/:account/foreigndatacenters', 'another datacenter'),
];
