/** The one network there is so far, and a machine's place in it. */
import { Type } from 'typebox';
import { macOf } from '../../../model/mac.ts';
import { publicId } from '../../../model/public-id.ts';

export const WireNetwork = Type.Object({ id: Type.String({ format: 'uuid' }), name: Type.String(), public: Type.Boolean(), description: Type.String() });

export const defaultNetwork = {
  id: publicId('network', 'default'),
  name: 'default',
  public: false,
  description: "machines' own addresses, reached from the host and from each other",
};

export const WireNic = Type.Object({
  mac: Type.String(),
  ip: Type.String(),
  primary: Type.Boolean(),
  gateway: Type.String(),
  netmask: Type.String(),
  state: Type.String(),
  network: Type.String({ format: 'uuid' }),
});

export interface Place {
  gateway: string;
  netmask: string;
}

export const nicWire = (address: string, { gateway, netmask }: Place) => ({
  mac: macOf(address),
  ip: address,
  primary: true,
  gateway,
  netmask,
  state: 'running',
  network: defaultNetwork.id,
});
