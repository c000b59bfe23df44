/** Flag values that several commands read: `K=V`, ports, restart policies, references to snapshots. Each refusal names the flag. */
import { isIP } from 'node:net';
import { invalid } from '../base/errors.ts';
import { parseCpuMillis, parseSizeMib } from '../base/units.ts';
import { formatMbps, parseCount, parseSeconds } from './format.ts';
import type { CpuBurst } from '../model/resources.ts';
import type { MachineState, PublishedPort, RestartPolicy } from '../model/machine.ts';
import { checkSnapshotName, environmentNamePattern, metadataNamePattern, tagNamePattern } from '../model/names.ts';
import { least } from '../model/resource-limits.ts';
import { promisableMbps } from '../model/uplink-reserve.ts';
import { closest } from './suggest.ts';

const longestZone = 64;
const zonePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

const pair = (what: string, pattern: string) => {
  const expression = new RegExp(pattern);
  return (field: string, text: string): [string, string] => {
    const equals = text.indexOf('=');
    if (equals < 1) throw invalid(field, `${JSON.stringify(text)} is not ${what}=VALUE`);
    const name = text.slice(0, equals);
    if (!expression.test(name)) throw invalid(field, `${JSON.stringify(name)} is not a valid name`);
    return [name, text.slice(equals + 1)];
  };
};

export const parseEnv = pair('NAME', environmentNamePattern);
export const parseTag = pair('TAG', tagNamePattern);
export const parseMetadata = pair('KEY', metadataNamePattern);

const portNumber = (field: string, text: string): number => {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw invalid(field, `${JSON.stringify(text)} is not a port (1 to 65535)`);
  return port;
};

/** `8080:80`, `53:53/udp`; `80` is `80:80`. */
export const parsePublish = (field: string, text: string): PublishedPort => {
  const [ports, protocol = 'tcp', ...more] = text.split('/');
  if ((protocol !== 'tcp' && protocol !== 'udp') || more.length > 0) throw invalid(field, `${JSON.stringify(text)} ends in neither /tcp nor /udp`);
  const parts = ports!.split(':');
  if (parts.length > 2)
    throw invalid(field, `${JSON.stringify(text)} is not HOST:PORT`, 'write two ports, such as 8080:80; it is published on all addresses of the host');
  const hostPort = portNumber(field, parts[0]!);
  return { hostPort, machinePort: parts[1] === undefined ? hostPort : portNumber(field, parts[1]), protocol };
};

export const formatPublish = (port: PublishedPort): string => `${port.hostPort}:${port.machinePort}${port.protocol === 'tcp' ? '' : '/udp'}`;

/** `always`, `never`, `on-failure`, `on-failure:5`. */
export const parseRestart = (field: string, text: string): RestartPolicy => {
  const match = /^(always|never|on-failure)(?::(\d{1,7}))?$/.exec(text);
  const policy = match?.[1] as RestartPolicy['policy'] | undefined;
  if (policy === undefined || (match![2] !== undefined && policy !== 'on-failure')) {
    throw invalid(field, `${JSON.stringify(text)} is not a restart policy`, 'write always, never, on-failure or on-failure:N');
  }
  const maxRetries = match![2] === undefined ? null : Number(match![2]);
  if (maxRetries !== null && maxRetries > 1_000_000) throw invalid(field, `${maxRetries} retries are too many (1000000 at most)`);
  return { policy, maxRetries };
};

export const formatRestart = (restart: RestartPolicy): string => (restart.maxRetries === null ? restart.policy : `${restart.policy}:${restart.maxRetries}`);

export const parseSwitch = (field: string, text: string): boolean => {
  if (text !== 'on' && text !== 'off') throw invalid(field, `${JSON.stringify(text)} is neither on nor off`);
  return text === 'on';
};

/** `machine@snapshot`. */
export const parseSnapshotRef = (field: string, text: string): { machine: string; name: string } => {
  const at = text.indexOf('@');
  if (at < 1) throw invalid(field, `${JSON.stringify(text)} is not MACHINE@SNAPSHOT`);
  return { machine: text.slice(0, at), name: checkSnapshotName(field, text.slice(at + 1)) };
};

/** A ceiling, or `none`. */
export const orNone =
  <T>(parse: (field: string, text: string) => T) =>
  (field: string, text: string): T | 'none' =>
    text === 'none' ? 'none' : parse(field, text);
export const parseMemory = (field: string, text: string): number => parseSizeMib(field, text, least.memoryMib);
export const parseDisk = (field: string, text: string): number => parseSizeMib(field, text, least.diskMib);
export const parseCpuCeiling = orNone((field, text) => parseCpuMillis(field, text, least.cpuCeilingMillis));
export const parseMemoryCeiling = orNone(parseMemory);
export const parseIopsLimit = orNone(parseCount(1, 100_000_000));

/** `50M`, `1G`, with an optional `/s`: MiB a second. */
export const parseMibpsLimit = orNone((field, text) => parseSizeMib(field, text.replace(/\/s$/, '')));

/** `100`, `100M`, `2.5G`, with an optional `bit/s`: Mbit/s, as networks count (1G is 1000M). */
export const parseMbps = (field: string, text: string): number => {
  const match = /^(\d{1,8}(?:\.\d{1,3})?)([MG])?(?:bit(?:\/s)?)?$/i.exec(text);
  const mbps = match === null ? Number.NaN : Number(match[1]) * (match[2]?.toUpperCase() === 'G' ? 1000 : 1);
  if (!Number.isInteger(mbps) || mbps > 10_000_000)
    throw invalid(field, `${JSON.stringify(text)} is not a rate in Mbit/s`, 'write whole Mbit/s, such as 100, or 2.5G');
  return mbps;
};
export const parseMbpsCeiling = orNone((field, text) => {
  const mbps = parseMbps(field, text);
  if (mbps === 0) throw invalid(field, 'a ceiling of 0 would be no network at all', 'write none for no ceiling');
  return mbps;
});

/** Of an uplink, of which something is to be left for machines. */
export const parseCapacity = orNone((field, text) => {
  const mbps = parseMbps(field, text);
  if (promisableMbps(mbps) === 0)
    throw invalid(field, `of ${formatMbps(mbps)} nothing could be guaranteed to machines`, 'write what the uplink carries, such as 100M or 1G');
  return mbps;
});

/** `1.5`: how many times what there is may be promised. */
export const parseRatio = (field: string, text: string): number => {
  const ratio = /^\d{1,3}(\.\d{1,2})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(ratio >= 1 && ratio <= 100))
    throw invalid(field, `${JSON.stringify(text)} is not a ratio from 1 to 100`, 'write how many times it may be promised, such as 1.5; 1 is once');
  return ratio;
};

/** `192.0.2.7`, `0.0.0.0:443`, `[::]:443`: an address of this host, or all, and a port. */
export const parseListen = (field: string, text: string): { address: string; port: number | undefined } => {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? (isIP(text) === 6 ? text : '');
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (isIP(address) === 0 || (port !== undefined && (port < 1 || port > 65_535)))
    throw invalid(field, `${JSON.stringify(text)} is not ADDRESS or ADDRESS:PORT`, 'write an address of this host, such as 192.0.2.7:443, 0.0.0.0 or [::]:443');
  return { address, port };
};

/** One address of this host: an answer must come from the address that was asked. */
export const parseDnsListen = orNone((field, text) => {
  const place = parseListen(field, text);
  if (/^[0.:]+$/.test(place.address)) throw invalid(field, `${place.address} is all addresses; name the one that is to be asked`);
  return place;
});

export const parseZone = orNone((field, text) => {
  const zone = text.toLowerCase().replace(/\.$/, '');
  if (zone.length > longestZone || !zonePattern.test(zone))
    throw invalid(
      field,
      `${JSON.stringify(text.slice(0, 80))} is not a zone: labels of letters, digits and -, with dots between, at most ${longestZone} characters`,
    );
  return zone;
});

const dnsPort = 53;
/** Where it is told of changes; it comes from the same address. */
export const parseSecondary = orNone((field, text) => {
  const { address, port = dnsPort } = parseListen(field, text);
  return { address, port };
});

/** `0.5:30s`: a baseline of half a core, and a bank of 30 seconds at the ceiling. */
export const parseBurst = orNone((field, text): CpuBurst => {
  const [baseline, time, ...more] = text.split(':');
  if (baseline === undefined || time === undefined || more.length > 0)
    throw invalid(field, `${JSON.stringify(text)} is not BASELINE:TIME`, 'write cores and a time, such as 0.5:30s, or none');
  const burstSeconds = parseSeconds(field, time);
  if (burstSeconds < 1 || burstSeconds > 86_400) throw invalid(field, `${JSON.stringify(time)} is out of range (1s to 24h)`);
  return { baselineMillis: parseCpuMillis(field, baseline), burstSeconds };
});

export const machineStateNames: readonly MachineState[] = ['provisioning', 'running', 'stopping', 'stopped', 'failed', 'deleting'];

/** `running` or `stopped,failed`. */
export const parseStates = (field: string, text: string): MachineState[] =>
  text.split(',').map((word) => {
    const state = machineStateNames.find((each) => each === word);
    if (state === undefined) {
      throw invalid(field, `${JSON.stringify(word)} is not a state`, closest(word, machineStateNames) ?? `states are ${machineStateNames.join(', ')}`);
    }
    return state;
  });

/** Of pairs, the last of each name counts. */
export const pairsToRecord = (pairs: readonly (readonly [string, string])[]): Record<string, string> => {
  const record: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, text] of pairs) record[name] = text;
  return { ...record };
};

/** The lines of an environment file: `NAME=VALUE`; empty lines and those that begin with `#` are skipped; nothing is unquoted. */
export const parseEnvFile = (field: string, content: string): [string, string][] =>
  content
    .split(/\r?\n/)
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '' && !line.trimStart().startsWith('#'))
    .map(({ line, number }) => parseEnv(`${field} line ${number}`, line));
