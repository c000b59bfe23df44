/** A NIC as it is asked for. */
import { Type } from 'typebox';
import { IpAddress } from '../../../model/network.ts';
import type { NicWish } from '../../../model/network-api.ts';

/** As CloudAPI's clients name a network, with an address or without; that they call it so whatever its family is, is all that they can say. */
export const WireNicWish = Type.Union([
  Type.String(),
  Type.Object({
    ipv4_uuid: Type.String(),
    ipv4_ips: Type.Optional(Type.Array(IpAddress, { minItems: 1, maxItems: 1 })),
    primary: Type.Optional(Type.Boolean()),
  }),
]);

interface AskedNic {
  ipv4_uuid: string;
  ipv4_ips?: string[];
  primary?: boolean;
}

export const wishOf = (asked: string | AskedNic): NicWish => {
  if (typeof asked === 'string') return { network: asked };
  const [address] = asked.ipv4_ips ?? [];
  return { network: asked.ipv4_uuid, ...(address === undefined ? {} : { address }), ...(asked.primary === undefined ? {} : { primary: asked.primary }) };
};
