/** Machines of one account, as many as wanted, each in one of a hundred services; and what is asked of them. */
import { namedMachine } from '../../src/dns/machine-names.ts';
import type { NamedAccount, NamedMachine } from '../../src/dns/machine-names.ts';

export const zoneName = 'bench.cenote.internal';
export const account: NamedAccount = { id: 'alice', uuid: '11111111-1111-4111-8111-111111111111', label: 'alice' };
const services = 100;

/** None has the address that questions come from. */
export const machinesOf = (count: number, asker: string): NamedMachine[] =>
  Array.from({ length: count }, (_, index) => {
    const address = `10.77.${index >> 8}.${index & 255}`;
    if (address === asker) throw new Error(`${asker} is a machine's address`);
    const id = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
    const tags = { 'triton.cns.services': `s${index % services}:80` };
    return namedMachine({ id, account: account.id, name: `m${index}`, address, tags }, true)!;
  });

export const absent = 'names that there are not';
/** Lines for dnsperf. */
export const questions = {
  'names of machines': (count: number) => lines(count, (index) => `m${index}.inst.alice.${zoneName} A`),
  'services, each of ten machines': (count: number) => lines(count, (index) => `s${index % services}.svc.alice.${zoneName} A`),
  'services with ports, and their addresses': (count: number) => lines(count, (index) => `s${index % services}.svc.alice.${zoneName} SRV`),
  [absent]: (count: number) => lines(count, (index) => `none${index}.inst.alice.${zoneName} A`),
} as const;

const lines = (count: number, line: (index: number) => string): string => Array.from({ length: count }, (_, index) => `${line(index)}\n`).join('');
