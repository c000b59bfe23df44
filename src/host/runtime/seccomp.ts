/**
 * The containers project's default system call filter, as Debian packages it, turned from its own form (rules that depend on
 * architecture and capabilities) into the OCI specification's plain list for one architecture and capability set.
 * Source of the form: containers/common, pkg/seccomp. crun compiles the result once and keeps it by its hash.
 */
import { readFileSync } from 'node:fs';
import { CenoteError } from '../../base/errors.ts';

export const defaultProfilePath = '/usr/share/containers/seccomp.json';

interface Condition {
  arches?: string[];
  caps?: string[];
}
interface Rule {
  names: string[];
  action: string;
  args?: { index: number; value: number; valueTwo?: number; op: string }[] | null;
  includes?: Condition;
  excludes?: Condition;
  errnoRet?: number;
}
interface Profile {
  defaultAction: string;
  defaultErrnoRet?: number;
  archMap: { architecture: string; subArchitectures: string[] | null }[];
  syscalls: Rule[];
}

const architectures: Record<string, { oci: string; common: string }> = {
  x64: { oci: 'SCMP_ARCH_X86_64', common: 'amd64' },
  arm64: { oci: 'SCMP_ARCH_AARCH64', common: 'arm64' },
};

/**
 * Kinds of sockets: unix, IPv4 and IPv6, and the kernel's own network settings, which are a namespace's. The profile allows every kind but one, and of
 * the others some reach past every namespace: with AF_VSOCK a machine would talk to the hypervisor below the host, or to the host's virtual machines.
 * 32-bit programs on x86 have one call for all that concerns sockets, which hides the kind from a filter; so they do not run.
 */
const is = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_EQ' });
const families = { unix: 1, inet4: 2, inet6: 10, netlink: 16 } as const;
const addressFamilyUnknown = 97;
const invalidArgument = 22;
const auditProtocol = 9;
const socketRules = [
  ...[families.unix, families.inet4, families.inet6].map((family) => ({ names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [is(0, family)] })),
  { names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [is(0, families.netlink), { index: 2, value: auditProtocol, op: 'SCMP_CMP_NE' }] },
  // Programs that try one of these and do without expect these answers (useradd, of audit); the default one is that there is no such call.
  { names: ['socket'], action: 'SCMP_ACT_ERRNO', errnoRet: invalidArgument, args: [is(0, families.netlink), is(2, auditProtocol)] },
  ...[17, 38, 40].map((family) => ({ names: ['socket'], action: 'SCMP_ACT_ERRNO', errnoRet: addressFamilyUnknown, args: [is(0, family)] })),
];
const hidesTheKind = new Set(['SCMP_ARCH_X86', 'SCMP_ARCH_X32']);

export const convertSeccomp = (profile: Profile, machineArchitecture: string, capabilities: readonly string[]): object => {
  const architecture = architectures[machineArchitecture];
  if (architecture === undefined) throw new CenoteError('unsupported', `no system call filter for ${machineArchitecture}`);
  const applies = (rule: Rule): boolean => {
    const { includes = {}, excludes = {} } = rule;
    if (includes.arches !== undefined && !includes.arches.includes(architecture.common)) return false;
    if (excludes.arches?.includes(architecture.common) === true) return false;
    if (includes.caps !== undefined && !includes.caps.every((capability) => capabilities.includes(capability))) return false;
    return excludes.caps?.some((capability) => capabilities.includes(capability)) !== true;
  };
  const entry = profile.archMap.find((candidate) => candidate.architecture === architecture.oci);
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: [architecture.oci, ...(entry?.subArchitectures ?? []).filter((one) => !hidesTheKind.has(one))],
    syscalls: [
      ...profile.syscalls
        .filter(applies)
        .map((rule) => ({
          names: rule.names.filter((name) => name !== 'socket'),
          action: rule.action,
          ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
          ...(rule.args === undefined || rule.args === null || rule.args.length === 0 ? {} : { args: rule.args }),
        }))
        .filter(({ names }) => names.length > 0),
      ...socketRules,
    ],
  };
};

export const loadSeccomp = (path: string, capabilities: readonly string[]): object => {
  try {
    return convertSeccomp(JSON.parse(readFileSync(path, 'utf8')) as Profile, process.arch, capabilities);
  } catch (cause) {
    throw new CenoteError('unavailable', `the system call filter ${path} cannot be read`, {
      cause,
      advice: 'run `cenote up` again: it installs what is missing',
    });
  }
};
