import { defineCommand } from '../command.ts';
import { detailLines } from '../details.ts';

const countsOf = (counters: Readonly<Record<string, number>>): string[] => Object.entries(counters).map(([what, count]) => `${count} ${what}`);

export const command = defineCommand({
  detail:
    "The datacenter's own DNS server: where it is, its zones, who takes them, what it was asked; and what machines asked the host's resolver. For the operator.",
  args: {},
  flags: {},
  examples: ['dns status', 'dns status --json'],
  run: async ({ flags }, context) => {
    const status = await (await context.control()).dnsStatus({ signal: context.signal });
    if (flags.json) return context.output.json(status);
    const { zone, address, port, serving, zones, secondaries, counters, resolver } = status;
    const { port: resolverPort, ...did } = resolver ?? { port: 0 };
    const place = address === null ? 'to nobody but machines (cenote up --dns ADDRESS serves it to others)' : `at ${address} port ${port}`;
    const lines = detailLines([
      ['Zone', zone],
      ['Served', address !== null && !serving ? `not: ${address} port ${port} could not be had` : place],
      ['Versions', zones.map(({ name, serial, names }) => `${name}: ${serial}, ${names} names`)],
      ['Secondaries', secondaries.map((one) => `${one.address} port ${one.port}: ${one.heard === null ? 'has not answered' : `has heard of ${one.heard}`}`)],
      ['Asked', counters === null ? null : countsOf(counters)],
      ['Machines', resolver === null ? 'the host or its resolver is away' : [`answered on port ${resolverPort} of their gateway`, ...countsOf(did)]],
    ]);
    for (const line of lines) context.output.line(line);
  },
});
