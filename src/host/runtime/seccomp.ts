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
    architectures: [architecture.oci, ...(entry?.subArchitectures ?? [])],
    syscalls: profile.syscalls.filter(applies).map((rule) => ({
      names: rule.names,
      action: rule.action,
      ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
      ...(rule.args === undefined || rule.args === null || rule.args.length === 0 ? {} : { args: rule.args }),
    })),
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
