import { parseCpuMillis, parseSizeMib } from '../../base/units.ts';
import { Interrupted } from '../context.ts';
import { defineCommand, parsed, toggle, value } from '../command.ts';
import { parseListen, parseMbpsCeiling, parseRatio } from '../values.ts';
import { setupOptions } from './setup-options.ts';

export const command = defineCommand({
  detail: 'Safe to repeat: it does what is missing, upgrades what is old and brings everything back after a reboot. Wants root.',
  args: {},
  flags: {
    poolSize: parsed('SIZE', parseSizeMib, "size of the machines' storage, on the first time"),
    device: value('PATH', 'a block device for the storage, on the first time; all on it is lost', { complete: 'file' }),
    cpu: parsed('CORES', parseCpuMillis, 'the most this instance may guarantee'),
    memory: parsed('SIZE', parseSizeMib, 'the most this instance may guarantee'),
    netCapacity: parsed('MBPS', parseMbpsCeiling, "what the host's uplink carries, for network guarantees, such as 1G; none sets nothing aside of it"),
    cloudapi: parsed('ADDRESS[:PORT]', parseListen, 'where CloudAPI is served; with TLS on any address but the loopback (the default)'),
    overcommitCpu: parsed('RATIO', parseRatio, 'promise CPU so many times over (1 is once, a guarantee)'),
    overcommitMemory: parsed('RATIO', parseRatio, 'promise memory so many times over'),
    overcommitDisk: parsed('RATIO', parseRatio, 'promise disk so many times over'),
    noHello: toggle('without the first machine'),
    yes: toggle('nothing is asked anyway; for scripts', { short: 'y' }),
  },
  examples: ['up', 'up --pool-size 50G', '--root /srv/second up --cpu 1 --memory 2G'],
  run: async ({ flags }, context) => {
    const { runUp } = await import('../../setup/commands.ts');
    const { poolSize, device, cpu, memory, netCapacity, noHello } = flags;
    const networkMbps = netCapacity === 'none' ? null : netCapacity;
    const ratios = { cpu: flags.overcommitCpu, memory: flags.overcommitMemory, disk: flags.overcommitDisk };
    const overcommit = Object.fromEntries(Object.entries(ratios).filter(([, ratio]) => ratio !== undefined));
    const sizes = { poolSizeMib: poolSize, device, cpuMillis: cpu, memoryMib: memory, networkMbps, overcommit, cloudapi: flags.cloudapi };
    try {
      return await runUp({ ...setupOptions(context, flags.json), ...sizes, noHello });
    } catch (error) {
      if (context.signal.aborted) throw new Interrupted('interrupted', 'say it again: it goes on where it was');
      throw error;
    }
  },
});
