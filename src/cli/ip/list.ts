import type { NetworkAddress } from '../../model/network-api.ts';
import type { Context } from '../context.ts';

/** All that are taken or reserved, however many pages they are. */
export const listAddresses = async (context: Context, network: string): Promise<NetworkAddress[]> => {
  const control = await context.control();
  const addresses: NetworkAddress[] = [];
  for (let page: NetworkAddress[] = []; ;) {
    page = await control.networkAddressList(network, { offset: addresses.length }, { signal: context.signal });
    if (page.length === 0) return addresses;
    addresses.push(...page);
  }
};
