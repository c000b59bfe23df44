/**
 * Addresses that are on this wire from now on, said to everybody there unasked (RFC 5227): who knew one at another link, because it was another
 * host's until a moment ago, or this host had another device, goes on sending to that one for half a minute or more.
 */
import type { Logger } from '../../base/logger.ts';
import { addressBytes } from '../../model/address.ts';
import { broadcastFrames } from '../../sys/link-frames.ts';
import type { FoundDevice } from './wire-messages.ts';

const arp = 0x0806;
/** A request: Ethernet, IPv4, the lengths of their addresses. */
const requestHeader = Buffer.from([0, 1, 8, 0, 6, 4, 0, 1]);
const nobody = Buffer.alloc(6);

/** One that is not heard is asked for sooner or later: nothing fails by it. */
export const announce = ({ index, name, mac }: FoundDevice, addresses: readonly string[], logger: Logger): void => {
  if (mac === null || addresses.length === 0) return;
  try {
    const requests = addresses.map(addressBytes).map((address) => Buffer.concat([requestHeader, mac, address, nobody, address]));
    broadcastFrames(index, arp, requests);
  } catch (error) {
    logger.warn({ err: error, link: name }, 'addresses could not be announced on their wire');
  }
};
