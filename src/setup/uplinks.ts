/** Which devices an instance shapes: found by the default route or named, and nobody else's. */
import { CenoteError, invalid } from '../base/errors.ts';
import type { AllottedInstance } from '../host/allotment/allotment.ts';
import { canShape, defaultDevices, queueOf } from '../host/network/uplink-check.ts';
import { releaseUplinks } from '../host/network/uplinks.ts';
import { shapedUplinks } from '../model/instance.ts';
import type { InstanceConfig } from '../model/instance.ts';
import { mostUplinks } from '../model/uplink-name.ts';
import { findInstanceConfig } from './config.ts';

export interface UplinkRequest {
  /** Null: nothing is set aside, and nothing shaped. */
  networkMbps: number | null;
  /** Named ones, or those of the default route; undefined: as they are, or of the default route when there are none. */
  uplinks: readonly string[] | 'default' | undefined;
}

export interface UplinkChoice {
  uplinks: string[];
  /** Why guarantees are only set aside. */
  lacks: string | null;
}

/** Under the lock of the host: no other instance chooses meanwhile. */
export const chooseUplinks = async (request: UplinkRequest, entry: AllottedInstance, all: readonly AllottedInstance[]): Promise<UplinkChoice> => {
  const { networkMbps, uplinks } = request;
  const isNamed = typeof uplinks === 'object';
  if (networkMbps === null) {
    if (uplinks !== undefined) throw invalid('--uplink', 'is where --net-capacity holds, and none is said', 'say --net-capacity too, such as 1G');
    return { uplinks: [], lacks: null };
  }
  if (!(await canShape())) {
    const lacks = 'this kernel has no HTB queue';
    if (isNamed)
      throw new CenoteError('unsupported', `${uplinks.join(', ')} cannot be shaped: ${lacks}`, {
        advice: 'leave out --uplink: the capacity is then set aside only',
      });
    return { uplinks: [], lacks };
  }
  const kept = uplinks === undefined ? findInstanceConfig(entry.root)?.uplinks : undefined;
  const devices = [...new Set(isNamed ? uplinks : (kept ?? (await defaultDevices())))];
  if (devices.length > mostUplinks) throw invalid('--uplink', `${devices.length} devices are more than ${mostUplinks}`);
  const others = all.filter(({ root }) => root !== entry.root);
  // One that was chosen before may be away for now; the agent waits for it.
  for (const device of devices) await demandFree(device, entry, others, kept !== undefined);
  return { uplinks: devices, lacks: devices.length === 0 ? 'this host has no default route' : null };
};

const demandFree = async (device: string, entry: AllottedInstance, others: readonly AllottedInstance[], mayBeAway: boolean): Promise<void> => {
  if (/^(lo|cn\d+v\d+)$/.test(device)) throw invalid('--uplink', `${device} does not lead out of this host`);
  const queue = await queueOf(device);
  if (queue === undefined && !mayBeAway) throw invalid('--uplink', `this host has no network device ${device}`);
  const holder = others.find(({ root, number }) => number === queue?.instanceNumber || devicesOf(root).includes(device));
  const elsewhere = 'name another device with --uplink, or say --net-capacity none';
  if (holder !== undefined)
    throw new CenoteError('in_use', `${device} is shaped by instance "${holder.instance}"; a device has one queue, so one instance at most`, {
      fields: [{ field: '--uplink', message: 'in use' }],
      advice: `${elsewhere}; or give it up there: cenote --root ${holder.root} up --net-capacity none`,
    });
  if (queue === undefined || queue === null || queue.instanceNumber === entry.number) return;
  // Of an instance that is no more.
  if (queue.instanceNumber !== null) return releaseUplinks(queue.instanceNumber);
  throw new CenoteError('in_use', `${device} has a root queue that somebody else made (${queue.text}); it is not touched`, {
    fields: [{ field: '--uplink', message: 'in use' }],
    advice: `take it away if nobody needs it: tc qdisc del dev ${device} root; or ${elsewhere}`,
  });
};

const devicesOf = (root: string): readonly string[] => {
  try {
    const config: InstanceConfig | null = findInstanceConfig(root);
    return config === null ? [] : (shapedUplinks(config)?.devices ?? []);
  } catch {
    return []; // half gone, or damaged: what it has on the device is seen there
  }
};
