/**
 * A ceiling for what leaves one end of a link: a token bucket (tbf) as its root queue, which machines cannot take away since they have no
 * rights over their own link. What comes the other way is shaped at the other end. As values: nothing here sends anything.
 */
import { attribute, nested, netlinkFlags, text, u32 } from '../../sys/netlink.ts';
import type { NetlinkRequest } from '../../sys/netlink.ts';
import { atRoot, queueAttributes, queueHeader, queueTypes } from './traffic-control.ts';

/** `1:`, so that a second one replaces the first. */
const handle = 0x0001_0000;
const bucket = { parameters: 1, rate64: 4, burst: 6 } as const;
const ethernet = 1;

/** What may leave at once. Above the largest packet that the kernel hands over in one piece, else it has to be cut up here. */
const burstSeconds = 0.005;
const leastBurstBytes = 80 * 1024;
/** What waits; beyond it packets are dropped, and the sender slows down. */
const queueSeconds = 0.05;
const largest32 = 0xffff_ffff;

const parameters = (bytesPerSecond: number, queueBytes: number): Buffer => {
  const data = Buffer.alloc(36); // struct tc_tbf_qopt: rate, peakrate (none), limit, buffer (see `burst`), mtu (none)
  data[1] = ethernet;
  data.writeUInt32LE(Math.min(bytesPerSecond, largest32), 8);
  data.writeUInt32LE(Math.min(queueBytes, largest32), 24);
  return data;
};

export const setCeiling = (index: number, mbps: number): NetlinkRequest => {
  const bytesPerSecond = mbps * 125_000;
  const burst = Math.round(Math.max(leastBurstBytes, bytesPerSecond * burstSeconds));
  const rate64 = Buffer.alloc(8);
  rate64.writeBigUInt64LE(BigInt(bytesPerSecond));
  const options = [
    attribute(bucket.parameters, parameters(bytesPerSecond, burst + Math.round(bytesPerSecond * queueSeconds))),
    attribute(bucket.burst, u32(burst)),
    ...(bytesPerSecond >= largest32 ? [attribute(bucket.rate64, rate64)] : []),
  ];
  return {
    type: queueTypes.newQueue,
    flags: netlinkFlags.create | netlinkFlags.replace,
    body: Buffer.concat([queueHeader(index, handle, atRoot), attribute(queueAttributes.kind, text('tbf')), nested(queueAttributes.options, ...options)]),
  };
};

/** Fails harmlessly with ENOENT or EINVAL where there is none. */
export const clearCeiling = (index: number): NetlinkRequest => ({ type: queueTypes.deleteQueue, flags: 0, body: queueHeader(index, handle, atRoot) });
