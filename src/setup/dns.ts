/** What an instance's names in the DNS are to be from now on. */
import { defaultDnsPort } from '../model/instance.ts';
import type { DnsConfig } from '../model/instance.ts';
import type { DnsChange } from './config.ts';

/** Undefined: as without a word of it. */
export const changedDns = (former: DnsConfig | undefined, change: DnsChange, instanceNumber: number): DnsConfig | undefined => {
  const { listen, zone, secondaries } = { ...former, ...given(change) };
  const made = {
    ...(zone === undefined || zone === null ? {} : { zone }),
    ...(listen === undefined || listen === null ? {} : { listen: { address: listen.address, port: listen.port ?? defaultDnsPort(instanceNumber) } }),
    ...(secondaries === undefined || secondaries === null || secondaries.length === 0 ? {} : { secondaries }),
  };
  return Object.keys(made).length === 0 ? undefined : made;
};

const given = (change: DnsChange): DnsChange => Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
