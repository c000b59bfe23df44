/**
 * How long pieces of datagrams wait for those that are missing, and how much memory all may take, in each namespace. With the kernel's own 30 or
 * 60 s and 4 MiB, one machine whose link drops what is above its ceiling keeps everybody's datagrams, the host's too, from being put together.
 */
import { existsSync, writeFileSync } from 'node:fs';
import type { Family } from '../../model/address.ts';

interface Setting {
  key: string;
  value: number;
}

const seconds = 3;
const bytes = 64 * 1024 * 1024;

/** As sysctl names them. */
export const pieceSettings: Readonly<Record<Family, { time: Setting; memory: Setting }>> = {
  4: { time: { key: 'net.ipv4.ipfrag_time', value: seconds }, memory: { key: 'net.ipv4.ipfrag_high_thresh', value: bytes } },
  6: {
    time: { key: 'net.netfilter.nf_conntrack_frag6_timeout', value: seconds },
    memory: { key: 'net.netfilter.nf_conntrack_frag6_high_thresh', value: bytes },
  },
};

/** In the namespace that this thread is in, which is nothing but a router; those of the host are set-up's. */
export const boundPieces = (family: Family): void => {
  for (const { key, value } of Object.values(pieceSettings[family])) {
    const path = `/proc/sys/${key.replaceAll('.', '/')}`;
    if (existsSync(path)) writeFileSync(path, String(value));
  }
};
