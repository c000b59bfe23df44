/** The MAC that goes with an address: locally administered, and made from it, so that a machine keeps it for as long as it keeps its address. */

export const macOf = (address: string): string => ['02', 'ce', ...address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');

export const macBytes = (address: string): Buffer => Buffer.from(macOf(address).replaceAll(':', ''), 'hex');
