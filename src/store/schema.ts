/**
 * The tables as TypeScript sees them. Only text and integer columns, JSON and times as text, so that SQLite and PostgreSQL hold the same
 * (see dialect/ for what differs).
 * `machine.body` is the machine as the API shows it, kept as JSON text so that a list is read and joined, never parsed; the columns beside
 * it are what queries need. `machine_name`, `published_port` and `address` are claims: they make a double impossible.
 */
import type { Generated, Selectable } from 'kysely';
import type { jobStates } from '../model/event.ts';
import type { DesiredState, MachineState } from '../model/machine.ts';

export type JobState = (typeof jobStates)[number];

export interface MetaTable {
  key: string;
  value: string;
}

export interface AccountTable {
  id: string;
  name: string;
  /** AccountProfile. */
  profile: string;
  /** AccountQuota. */
  quota: string;
  /** Whether its machines have names in the DNS. */
  names_enabled: number;
  created_at: string;
  updated_at: string;
  /** Null: it may come in. */
  disabled_at: string | null;
  /** Null: the external one. */
  default_network: string | null;
}

export interface AccountKeyTable {
  account: string;
  name: string;
  /** MD5, with colons. */
  fingerprint: string;
  sha256: string;
  public_key: string;
  created_at: string;
}

export interface AccountUserTable {
  id: string;
  account: string;
  login: string;
  /** AccountProfile. */
  profile: string;
  created_at: string;
  updated_at: string;
}

export interface UserKeyTable {
  /** Id of the user. */
  member: string;
  name: string;
  fingerprint: string;
  sha256: string;
  public_key: string;
  created_at: string;
}

export interface AccessPolicyTable {
  id: string;
  account: string;
  name: string;
  description: string;
  /** Texts of rules. */
  rules: string;
  created_at: string;
}

export interface AccessRoleTable {
  id: string;
  account: string;
  name: string;
  created_at: string;
}

export interface RolePolicyTable {
  role: string;
  policy: string;
}

export interface RoleMemberTable {
  role: string;
  member: string;
  by_default: number;
}

export interface RoleTagTable {
  account: string;
  resource: string;
  role: string;
}

export interface AccessTokenTable {
  id: string;
  account: string;
  /** Id of the user whom it stands for; null: the account itself. */
  member: string | null;
  /** Of the key it was made with; null: the operator made it. */
  fingerprint: string | null;
  hash: string;
  actor: string;
  created_at: string;
  expires_at: string;
}

export interface AccessKeyTable {
  id: string;
  account: string;
  /** Id of the user whose it is; null: the account itself. */
  member: string | null;
  secret: string;
  active: number;
  description: string;
  created_at: string;
  updated_at: string;
}

export interface ImageTable {
  id: string;
  account: string;
  name: string;
  version: string;
  /** ImageAbout. */
  about: string;
  error: string | null;
  created_at: string;
}

export interface DeletedMachineTable {
  id: string;
  account: string;
  /** Machine as it last was. */
  body: string;
  deleted_at: string;
}

export interface MachineTable {
  id: string;
  account: string;
  name: string;
  state: MachineState;
  desired: DesiredState;
  generation: number;
  package: string | null;
  package_version: number | null;
  image: string;
  /** `name@version`. */
  platform: string | null;
  /** What is set aside for it: its guarantees, or what a resize under way may make of them if that is more. */
  cpu_millis: number;
  memory_mib: number;
  disk_mib: number;
  network_mbps: number;
  /** MachineSpec as the host last had it. */
  spec: string;
  body: string;
  created_at: string;
}

/** See store/set-aside.ts. */
export interface SetAsideTable {
  /** An account's id, or `*`. */
  holder: string;
  machines: number;
  cpu_millis: number;
  memory_mib: number;
  disk_mib: number;
  network_mbps: number;
}

export interface MachineNameTable {
  account: string;
  name: string;
  machine: string;
}

export interface MachineTagTable {
  machine: string;
  name: string;
  value: string;
}

export interface PublishedPortTable {
  protocol: 'tcp' | 'udp';
  host_port: number;
  machine: string;
}

export interface JobTable {
  sequence: Generated<number>;
  id: string;
  account: string;
  action: string;
  machine: string | null;
  actor: string;
  /** JobCaller, of who came by a network. */
  caller: string | null;
  state: JobState;
  generation: number;
  request: string;
  result: string;
  reason: string | null;
  created_at: string;
  finished_at: string | null;
  /** Who works on it and until when; null once it has ended. */
  lease_owner: string | null;
  lease_until: string | null;
}

export interface PackageVersionTable {
  name: string;
  version: number;
  resources: string;
  created_at: string;
}

export interface EventTable {
  sequence: Generated<number>;
  account: string | null;
  at: string;
  type: string;
  subject: string;
  message: string;
  detail: string;
}

export interface VlanTable {
  account: string;
  id: number;
  name: string;
  description: string;
}

export interface NetworkTable {
  id: string;
  /** Null: the external one, and those that the operator makes for several accounts. */
  account: string | null;
  /** JSON: the accounts that may use it; none: everybody. */
  owners: string;
  is_public: number;
  vlan: number | null;
  name: string;
  description: string;
  subnet: string;
  gateway: string | null;
  /** Places that are given to machines unasked. */
  range_first: number;
  range_last: number;
  /** JSON. */
  resolvers: string;
  /** JSON: machines' addresses by the subnets that they carry. */
  routes: string;
  internet_nat: number;
  mtu: number;
  /** Of a public one on a wire: where, and the tag there. */
  device: string | null;
  tag: number | null;
  /** Its own address on the external network. */
  uplink: string | null;
  /** Counts changes. */
  version: number;
  created_at: string;
}

export interface NetworkPoolTable {
  id: string;
  name: string;
  description: string;
  /** JSON: ids, those first that are to be used first. */
  networks: string;
  created_at: string;
}

/** Who has which place in a network. */
export interface AddressTable {
  network: string;
  /** Steps from the subnet's own address. */
  place: number;
  machine: string | null;
  /** A network whose way out it is. */
  uplink_of: string | null;
  /** Given only to who asks for it. */
  reserved: number;
  /** A floating one's: whose it is, the machine that it is attached to, and a count of changes. */
  account: Generated<string | null>;
  floats_to: Generated<string | null>;
  version: Generated<number>;
}

export type AddressRow = Selectable<AddressTable>;

export interface FirewallRuleTable {
  id: string;
  /** Null: an operator's, about everybody's machines. */
  account: string | null;
  rule: string;
  enabled: number;
  log: number;
  /** What it costs the host; see model/firewall/compile.ts. */
  weight: number;
  description: string | null;
  created_at: string;
}

export interface Schema {
  meta: MetaTable;
  account: AccountTable;
  account_key: AccountKeyTable;
  deleted_machine: DeletedMachineTable;
  image: ImageTable;
  account_user: AccountUserTable;
  user_key: UserKeyTable;
  access_token: AccessTokenTable;
  access_key: AccessKeyTable;
  access_policy: AccessPolicyTable;
  access_role: AccessRoleTable;
  role_policy: RolePolicyTable;
  role_member: RoleMemberTable;
  role_tag: RoleTagTable;
  machine: MachineTable;
  set_aside: SetAsideTable;
  machine_name: MachineNameTable;
  machine_tag: MachineTagTable;
  published_port: PublishedPortTable;
  job: JobTable;
  package_version: PackageVersionTable;
  event: EventTable;
  vlan: VlanTable;
  network: NetworkTable;
  network_pool: NetworkPoolTable;
  address: AddressTable;
  firewall_rule: FirewallRuleTable;
}

/** All of them, those that others refer to first. A table that is missing here does not compile. */
const order = {
  meta: true,
  account: true,
  account_key: true,
  deleted_machine: true,
  machine: true,
  set_aside: true,
  machine_name: true,
  machine_tag: true,
  published_port: true,
  job: true,
  package_version: true,
  event: true,
  vlan: true,
  network: true,
  network_pool: true,
  address: true,
  firewall_rule: true,
  image: true,
  account_user: true,
  user_key: true,
  access_token: true,
  access_key: true,
  access_policy: true,
  access_role: true,
  role_policy: true,
  role_member: true,
  role_tag: true,
} satisfies Record<keyof Schema, true>;
export const tables = Object.keys(order) as (keyof Schema)[];

/** Tables whose rows are numbered, in a column `sequence`; a number is never used twice. */
export const sequences = ['job', 'event'] as const satisfies (keyof Schema)[];
