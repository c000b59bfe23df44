import { readFileSync } from 'node:fs';
import { parseCpuMillis, parseSizeMib } from '../../base/units.ts';
import { invalid, messageOf } from '../../base/errors.ts';
import { uplinkPattern } from '../../model/uplink-name.ts';
import { Interrupted } from '../context.ts';
import { defineCommand, many, parsed, toggle, value } from '../command.ts';
import type { Parse } from '../command.ts';
import { parseCapacity, parseDnsListen, parseListen, parseRatio, parseSecondary, parseZone } from '../values.ts';
import { setupOptions } from './setup-options.ts';

/** A password does not belong on a command line: `ps` shows it, and the shell keeps it. */
const parseDatabase: Parse<string> = (field, text) => {
  const url = text.startsWith('@') ? readUrl(field, text.slice(1)) : text;
  if (url === 'sqlite' || (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url))) return url;
  throw invalid(field, 'is neither sqlite nor a URL such as postgres://USER@HOST/NAME');
};

const readUrl = (field: string, path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw invalid(field, `${path} cannot be read: ${messageOf(error)}`);
  }
};

const parseUplink: Parse<string> = (field, text) => {
  if (new RegExp(uplinkPattern).test(text)) return text;
  throw invalid(field, `${JSON.stringify(text)} is not the name of a network device`);
};

interface DnsFlags {
  dns: ReturnType<typeof parseDnsListen> | undefined;
  dnsZone: string | undefined;
  dnsSecondary: ReturnType<typeof parseSecondary>[];
}

const dnsOf = ({ dns, dnsZone, dnsSecondary }: DnsFlags) => ({
  listen: dns === 'none' ? null : dns,
  zone: dnsZone === 'none' ? null : dnsZone,
  secondaries: dnsSecondary.length === 0 ? undefined : dnsSecondary.filter((one) => one !== 'none'),
});

export const command = defineCommand({
  detail: 'Safe to repeat: it does what is missing, upgrades what is old and brings everything back after a reboot. Wants root.',
  args: {},
  flags: {
    poolSize: parsed('SIZE', parseSizeMib, "size of the machines' storage; later a larger one, and it grows"),
    device: value('PATH', 'a block device for the storage, on the first time; all on it is lost', { complete: 'file' }),
    cpu: parsed('CORES', parseCpuMillis, 'what this instance has of the host, and may guarantee at most; later another, at once'),
    memory: parsed('SIZE', parseSizeMib, 'the same of memory; what machines borrow beyond it is taken back'),
    netCapacity: parsed('MBPS', parseCapacity, "what the host's uplink carries, for network guarantees, such as 1G; none sets nothing aside of it"),
    uplink: many('DEVICE', parseUplink, 'the network device that carries it, several times for several; default is that of the default route'),
    cloudapi: parsed('ADDRESS[:PORT]', parseListen, 'where CloudAPI is served; with TLS on any address but the loopback (the default)'),
    dns: parsed('ADDRESS[:PORT]', parseDnsListen, "where machines' names are served to others; none serves them to nobody but machines (the default)"),
    dnsZone: parsed('ZONE', parseZone, 'what all names end with; none is the default again, INSTANCE.cenote.internal'),
    dnsSecondary: many('ADDRESS[:PORT]', parseSecondary, 'a DNS server that may take the zones and is told of changes, instead of those before; none is none'),
    overcommitCpu: parsed('RATIO', parseRatio, 'promise CPU so many times over (1 is once, a guarantee)'),
    overcommitMemory: parsed('RATIO', parseRatio, 'promise memory so many times over'),
    overcommitDisk: parsed('RATIO', parseRatio, 'promise disk so many times over'),
    database: parsed('URL', parseDatabase, 'the store in a PostgreSQL database: postgres://…, or @FILE with the URL in it; sqlite for its own file again'),
    noHello: toggle('without the first machine'),
    yes: toggle('nothing is asked anyway; for scripts', { short: 'y' }),
  },
  examples: [
    'up',
    'up --pool-size 50G',
    'up --database @/root/database-url',
    'up --dns 192.0.2.7:53 --dns-zone dc1.example.com',
    '--root /srv/second up --cpu 1 --memory 2G',
  ],
  run: async ({ flags }, context) => {
    const { runUp } = await import('../../setup/commands.ts');
    const { poolSize, device, cpu, memory, netCapacity, database, noHello } = flags;
    const networkMbps = netCapacity === 'none' ? null : netCapacity;
    const uplinks = flags.uplink.length === 0 ? undefined : flags.uplink.includes('default') ? ('default' as const) : flags.uplink;
    const ratios = { cpu: flags.overcommitCpu, memory: flags.overcommitMemory, disk: flags.overcommitDisk };
    const overcommit = Object.fromEntries(Object.entries(ratios).filter(([, ratio]) => ratio !== undefined));
    const sizes = {
      poolSizeMib: poolSize,
      device,
      cpuMillis: cpu,
      memoryMib: memory,
      networkMbps,
      uplinks,
      overcommit,
      cloudapi: flags.cloudapi,
      dns: dnsOf(flags),
    };
    try {
      return await runUp({ ...setupOptions(context, flags.json), ...sizes, database, noHello });
    } catch (error) {
      if (context.signal.aborted) throw new Interrupted('interrupted', 'say it again: it goes on where it was');
      throw error;
    }
  },
});
