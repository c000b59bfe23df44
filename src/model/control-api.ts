/**
 * The control plane's API: HTTP over `ROOT/run/control.sock` (local callers known by peer credentials). Later work puts CloudAPI at
 * its edge (control/cloudapi); these are the resources it translates to. Local callers act for the account `default`.
 *
 *   GET    /v1/info                                  ControlInfo
 *   GET    /v1/machines?name=&state=&tag.K=V&limit=&offset=   Machine[]  (header x-resource-count: count in this page)
 *   POST   /v1/machines                              CreateMachine -> 201 Accepted<Machine>
 *   GET    /v1/machines/:id                          Machine (410 gone is not used; 404 when deleted)
 *   POST   /v1/machines/:id/start|stop|reboot        ActionOptions -> 202 Accepted
 *   POST   /v1/machines/:id/metadata                 MetadataChange -> 202
 *   POST   /v1/machines/:id/rename                   {name} -> 202
 *   POST   /v1/machines/:id/resize                   ResizeMachine -> 202
 *   POST   /v1/machines/:id/update                   UpdateMachine -> 202
 *   PUT    /v1/machines/:id/code?request=JSON        UpdateMachine, body tar -> 202 when its job has ended
 *   DELETE /v1/machines/:id                          202
 *   GET    /v1/machines/:id/{usage,processes}        as the agent
 *   GET    /v1/machines/:id/logs|files|exec          streamed through from the agent; PUT files too
 *   GET|POST /v1/machines/:id/snapshots, DELETE .../snapshots/:name, POST .../snapshots/:name/rollback
 *   GET    /v1/machines/:id/jobs                     Job[] newest first (the audit)
 *   GET    /v1/jobs/:id?wait=SECONDS                 Job; with wait, answers when it ended or the time is over
 *   GET    /v1/images, POST /v1/images?request=JSON, GET|DELETE /v1/images/:idOrName
 *   GET    /v1/platforms, POST /v1/platforms (NDJSON progress), DELETE /v1/platforms/:name/:version
 *   GET /v1/packages?versions=, POST /v1/packages, GET|DELETE /v1/packages/:name, POST /v1/packages/:name/update
 *   GET|POST /v1/accounts, GET|DELETE /v1/accounts/:idOrName, GET|POST .../keys, DELETE .../keys/:nameOrFingerprint
 *   GET|POST /v1/vlans, GET|DELETE /v1/vlans/:id, POST .../update            Vlan, CreateVlan, UpdateVlan (model/network-api.ts)
 *   GET|POST /v1/networks, GET|DELETE /v1/networks/:id, POST .../update|default   Network, CreateNetwork, UpdateNetwork
 *   GET    /v1/networks/:id/addresses, POST .../addresses/:address      NetworkAddress[]; ReserveAddress -> NetworkAddress
 *   GET|POST /v1/machines/:id/nics, DELETE .../nics/:mac                MachineNic[]; NicWish -> 202 Accepted; 202
 *   GET    /v1/fwrules, POST /v1/fwrules             FirewallRule[], CreateFirewallRule -> 201 FirewallRule (model/firewall/wire.ts)
 *   GET|DELETE /v1/fwrules/:id, POST .../update|enable|disable; GET .../machines, GET /v1/machines/:id/fwrules
 *   GET    /v1/firewall/test?from=&to=&protocol=&port=&type=&code=   FirewallVerdict
 *   GET    /v1/names?machine=                        NameRecord[] (model/names-api.ts): what the account's names are
 *   GET    /v1/dns                                   DnsStatus: the datacenter's own server
 *   GET    /v1/backup                                a copy of the store (gzip); PUT puts one back -> RestoredBackup, then the control plane begins anew
 *   GET    /v1/events?after=N&follow=                NDJSON of Event
 *
 * `:id` of a machine is its id or its exact name; the command line resolves short ids and globs.
 * Every 2xx of an asynchronous action is Accepted: {job, machine}. `?wait=SECONDS` on the action itself answers when the
 * job has ended (or the time is over), in the same shape.
 */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { HealthCheck, Job } from './event.ts';
import { ImageConfig, PlatformRef } from './image.ts';
import { Command, Environment, Health, MachineExit, MachineName, MachineState, Metadata, PublishedPort, RestartPolicy, Tags } from './machine.ts';
import { NicWish } from './network-api.ts';
import { Nics } from './network.ts';
import { resourceNamePattern, snapshotNamePattern } from './names.ts';
import { PackageRef, Resources } from './resources.ts';
import { AgentInfo } from './agent-api.ts';

const closed = { additionalProperties: false } as const;
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);

export const Machine = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    account: Type.String(),
    state: MachineState,
    desired: Type.Union([Type.Literal('running'), Type.Literal('stopped')]),
    image: Type.Object({ id: Type.String(), name: Type.String() }, closed),
    platform: nullable(PlatformRef),
    package: nullable(PackageRef),
    resources: Resources,
    /** Of its primary NIC. */
    address: Type.String(),
    /** Absent: one, on the external network. */
    nics: Type.Optional(Nics),
    /** Floating addresses that lead to it; absent: none. */
    floating: Type.Optional(Type.Array(Type.String())),
    publish: Type.Array(PublishedPort),
    command: nullable(Command),
    env: Environment,
    tags: Tags,
    metadata: Type.Optional(Metadata),
    firewallEnabled: Type.Optional(Type.Boolean()),
    deletionProtection: Type.Optional(Type.Boolean()),
    restart: RestartPolicy,
    stopGraceSeconds: Type.Integer(),
    createdAt: Type.String(),
    /** When the last action that changed it had ended; absent: there was none. */
    updatedAt: Type.Optional(Type.String()),
    startedAt: nullable(Type.String()),
    exit: nullable(MachineExit),
    error: nullable(Type.String()),
    /** By policy, since it was last asked to start. */
    restarts: Type.Integer(),
    /** When it is started again by policy, after it has ended by itself; absent: no such start is set. */
    restartAt: Type.Optional(Type.String()),
    health: Health,
    /** The check that made it unhealthy; absent: it is not. */
    healthCheck: Type.Optional(HealthCheck),
    generation: Type.Integer(),
  },
  closed,
);
export type Machine = Static<typeof Machine>;

/** Single numbers; what is left out comes from the package or the defaults. */
const ResourcePatch = Type.Partial(Resources, closed);
/** `NAME` is a package's newest version, `NAME@VERSION` that one. */
/** `NAME` or `NAME@VERSION`. */
const PackageText = Type.String({ maxLength: 80 });

export const CreateMachine = Type.Object(
  {
    name: Type.Optional(MachineName),
    /** Name or id; default `base`. */
    image: Type.Optional(Type.String({ maxLength: 128 })),
    /** `NAME` (newest version) or `NAME@VERSION`; default `host`. Not with an image that has its own userland. */
    platform: Type.Optional(Type.String({ maxLength: 128 })),
    package: Type.Optional(PackageText),
    resources: Type.Optional(ResourcePatch),
    command: Type.Optional(Command),
    env: Type.Optional(Environment),
    tags: Type.Optional(Tags),
    metadata: Type.Optional(Metadata),
    firewallEnabled: Type.Optional(Type.Boolean()),
    deletionProtection: Type.Optional(Type.Boolean()),
    publish: Type.Optional(Type.Array(PublishedPort, { maxItems: 256 })),
    /** Absent: the account's default network. The first is primary where none is said to be. */
    networks: Type.Optional(Type.Array(NicWish, { minItems: 1, maxItems: 32 })),
    restart: Type.Optional(RestartPolicy),
    stopGraceSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600 })),
    /** What is left out is then as that machine has it: app/machine-create.ts says what is not. */
    fromSnapshot: Type.Optional(Type.Object({ machine: Type.String(), name: Type.String({ pattern: snapshotNamePattern }) }, closed)),
    /** False leaves it stopped, so that code can be copied in before the first start. Default true. */
    start: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type CreateMachine = Static<typeof CreateMachine>;

export const ActionOptions = Type.Object({ graceSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600 })) }, closed);
export type ActionOptions = Static<typeof ActionOptions>;

export const RenameMachine = Type.Object({ name: MachineName }, closed);
export type RenameMachine = Static<typeof RenameMachine>;

export const ResizeMachine = Type.Object({ package: Type.Optional(PackageText), resources: Type.Optional(ResourcePatch) }, closed);
export type ResizeMachine = Static<typeof ResizeMachine>;

/** What is left out stays as it is; `env` and `tags` are whole new sets. */
export const UpdateMachine = Type.Object(
  {
    image: Type.Optional(Type.String({ maxLength: 128 })),
    platform: Type.Optional(Type.String({ maxLength: 128 })),
    command: Type.Optional(nullable(Command)),
    env: Type.Optional(Environment),
    tags: Type.Optional(Tags),
    firewallEnabled: Type.Optional(Type.Boolean()),
    publish: Type.Optional(Type.Array(PublishedPort, { maxItems: 256 })),
    restart: Type.Optional(RestartPolicy),
    stopGraceSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600 })),
  },
  closed,
);
export type UpdateMachine = Static<typeof UpdateMachine>;

export const CreateImage = Type.Object(
  {
    name: Type.String({ pattern: resourceNamePattern }),
    kind: Type.Optional(Type.Union([Type.Literal('app'), Type.Literal('system')])),
    config: Type.Optional(ImageConfig),
    /** Id or name; no body then. */
    fromMachine: Type.Optional(Type.String({ maxLength: 128 })),
  },
  closed,
);
export type CreateImage = Static<typeof CreateImage>;

/** What is left out is as a machine without a package has it. */
export const CreatePackage = Type.Object({ name: Type.String({ pattern: resourceNamePattern }), resources: ResourcePatch }, closed);
export type CreatePackage = Static<typeof CreatePackage>;

/** What is left out is as in the newest version. */
export const UpdatePackage = Type.Object({ resources: ResourcePatch }, closed);
export type UpdatePackage = Static<typeof UpdatePackage>;

export const Accepted = Type.Object({ job: Job, machine: nullable(Machine) }, closed);
export type Accepted = Static<typeof Accepted>;

export const ControlInfo = Type.Object(
  {
    version: Type.String(),
    startedAt: Type.String(),
    caller: Type.String(),
    /** Whether the caller is the operator, who alone is told of `store` and `agent`. */
    operator: Type.Boolean(),
    store: nullable(Type.String()),
    agent: nullable(AgentInfo),
    /** Where CloudAPI, and this API for accounts, is served. */
    cloudapi: nullable(Type.String()),
    /** SHA-256 of the certificate there; null without TLS. */
    fingerprint: nullable(Type.String()),
  },
  closed,
);
export type ControlInfo = Static<typeof ControlInfo>;

export const RestoredBackup = Type.Object(
  {
    /** When the copy was made. */
    createdAt: Type.String(),
    rows: Type.Integer(),
    /** Actions that had not ended then; they are not taken up. */
    dropped: Type.Integer(),
  },
  closed,
);
export type RestoredBackup = Static<typeof RestoredBackup>;
