/** Rules by chance, for tests: small worlds, so that they meet each other and the packets. */
import fc from 'fast-check';
import type { Family } from '../address.ts';
import { sortPorts, sortTargets, sortTypes } from './order.ts';
import type { Rule, Service, Target } from './rule.ts';

const record = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> => fc.record(shape, { noNullPrototype: true });

export const machineIds = Array.from({ length: 6 }, (_, index) => `0000000${index}-0000-4000-8000-000000000000`);
export const tagNames = ['role', 'tier', 'a b(c)"\\'];
export const tagValues = ['web', 'db', '', '7', 'true'];
export const addresses = ['10.1.0.2', '10.1.0.3', '10.1.0.4', '10.1.1.2', '10.2.0.2', '192.0.2.7', '192.0.2.9'];
const subnets = ['10.1.0.0/24', '10.1.0.0/16', '10.0.0.0/8', '192.0.2.0/29', '192.0.2.7/32', '0.0.0.0/0'];
export const addresses6 = ['fd00::2', 'fd00::3', 'fd00::4', 'fd00::1:2', 'fd01::2', '2001:db8::7', '2001:db8::9'];
const subnets6 = ['fd00::/112', 'fd00::/64', 'fc00::/7', '2001:db8::/125', '2001:db8::7/128', '::/0'];

const machineTarget: fc.Arbitrary<Target> = fc.oneof(
  record({ kind: fc.constant('vm' as const), id: fc.constantFrom(...machineIds) }),
  record({ kind: fc.constant('tag' as const), name: fc.constantFrom(...tagNames), value: fc.constantFrom(null, ...tagValues) }),
);

const addressTarget = (six: boolean): fc.Arbitrary<Target> =>
  fc.oneof(
    record({ kind: fc.constant('ip' as const), address: fc.constantFrom(...(six ? addresses6 : addresses)) }),
    record({ kind: fc.constant('subnet' as const), subnet: fc.constantFrom(...(six ? subnets6 : subnets)) }),
  );

const side = (address: fc.Arbitrary<Target>, mostTargets: number): fc.Arbitrary<Target[]> =>
  fc.oneof(
    fc.constant<Target[]>([{ kind: 'any' }]),
    fc.constant<Target[]>([{ kind: 'all' }]),
    fc.array(fc.oneof(machineTarget, address), { minLength: 1, maxLength: mostTargets }).map(sortTargets),
  );

const port = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 65_535 }));
const ports = fc.oneof(
  fc.constant('all' as const),
  fc
    .array(
      fc.tuple(port, port).map(([one, other]) => ({ from: Math.min(one, other), to: Math.max(one, other) })),
      { minLength: 1, maxLength: 5 },
    )
    .map(sortPorts),
  fc.array(port, { minLength: 1, maxLength: 5 }).map((all) => sortPorts(all.map((one) => ({ from: one, to: one })))),
);
const types = fc.oneof(
  fc.constant('all' as const),
  fc.array(record({ type: fc.constantFrom(0, 3, 8, 11), code: fc.constantFrom(null, 0, 1, 3) }), { minLength: 1, maxLength: 5 }).map(sortTypes),
);

const service = (six: boolean): fc.Arbitrary<Service> =>
  fc.oneof(
    record({ protocol: fc.constantFrom('tcp' as const, 'udp' as const), ports }),
    record({ protocol: fc.constant(six ? ('icmp6' as const) : ('icmp' as const)), types }),
    record({ protocol: fc.constantFrom('ah' as const, 'esp' as const) }),
  );

const rest = { action: fc.constantFrom('allow' as const, 'block' as const), priority: fc.constantFrom(0, 0, 0, 1, 100) };
const isOfMachines = ({ from, to }: Pick<Rule, 'from' | 'to'>): boolean => [...from, ...to].some(({ kind }) => ['all', 'tag', 'vm'].includes(kind));

/** About addresses of IPv4, of IPv6, or of the one or the other. */
export const arbitraryRule = (options: { families?: readonly Family[]; mostTargets?: number } = {}): fc.Arbitrary<Rule> => {
  const { families = [4], mostTargets = 3 } = options;
  const ofFamily = (six: boolean): fc.Arbitrary<Rule> =>
    record({ from: side(addressTarget(six), mostTargets), to: side(addressTarget(six), mostTargets), service: service(six), ...rest });
  return fc.oneof(...families.map((family) => ofFamily(family === 6))).filter(isOfMachines);
};
