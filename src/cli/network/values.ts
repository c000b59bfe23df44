/** Addresses as people write them. */
import { isIP } from 'node:net';
import { invalid } from '../../base/errors.ts';
import type { NicWish } from '../../model/network-api.ts';

export const parseAddress = (field: string, text: string): string => {
  if (isIP(text) === 0) throw invalid(field, `${JSON.stringify(text.slice(0, 40))} is not an address such as 192.168.10.5 or fd00:10::5`);
  return text;
};

export const parseRange = (field: string, text: string): [first: string, last: string] => {
  const [first = '', last = '', ...rest] = text.split('-');
  if (rest.length > 0 || last === '') throw invalid(field, `${JSON.stringify(text.slice(0, 40))} is not two addresses such as 192.168.10.50-192.168.10.99`);
  return [parseAddress(field, first), parseAddress(field, last)];
};

/** `SUBNET=ADDRESS`: the address carries the subnet. */
export const parseRoute = (field: string, text: string): [subnet: string, by: string] => {
  const [subnet = '', by = '', ...rest] = text.split('=');
  if (rest.length > 0 || by === '') throw invalid(field, `${JSON.stringify(text.slice(0, 40))} is not a route such as 10.9.0.0/16=192.168.10.5`);
  return [subnet, parseAddress(field, by)];
};

/** `NETWORK`, or `NETWORK=ADDRESS`. */
export const parseNic = (field: string, text: string): NicWish => {
  const at = text.lastIndexOf('=');
  if (at === -1) return { network: text };
  return { network: text.slice(0, at), address: parseAddress(field, text.slice(at + 1)) };
};
