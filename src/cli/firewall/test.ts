/** What becomes of a packet, asked before anybody sends it. */
import { invalid } from '../../base/errors.ts';
import { isUuid, shortId } from '../../base/ids.ts';
import type { PacketService } from '../../model/firewall/judge.ts';
import type { FirewallVerdict } from '../../model/firewall/wire.ts';
import { defineCommand, one, optional } from '../command.ts';
import type { Context } from '../context.ts';
import { selectMachine } from '../select.ts';
import { parseCount } from '../format.ts';

const protocols = ['tcp', 'udp', 'icmp', 'icmp6', 'ah', 'esp'] as const;
const echoRequest = { icmp: 8, icmp6: 128 } as const;
const blockedExit = 1;

export const command = defineCommand({
  detail:
    "FROM and TO are machines or addresses. PORT is the receiver's own, as rules write it; of icmp and icmp6 it is TYPE or TYPE:CODE. Machines that have both families are asked about by IPv4, where that leads from one to the other. Judged is a packet that begins something; answers belong to what was begun. The exit status is 0 when it is allowed and 1 when it is blocked.",
  args: { from: one('FROM', 'machine'), to: one('TO', 'machine'), protocol: one('PROTO', protocols), port: optional('PORT') },
  flags: {},
  examples: ['firewall test web db tcp 5432', 'firewall test 192.0.2.7 web tcp 443', 'firewall test web db icmp 8', 'firewall test web db icmp6 128'],
  run: async ({ args, flags }, context) => {
    const service = serviceOf(args.protocol, args.port);
    const [from, to] = [await endOf(context, args.from), await endOf(context, args.to)];
    const verdict = await (await context.control()).firewallTest(from, to, service, { signal: context.signal });
    if (flags.json) context.output.json(verdict);
    else for (const line of explain(verdict)) context.output.line(line);
    return verdict.allowed ? 0 : blockedExit;
  },
});

const endOf = async (context: Context, word: string): Promise<string> =>
  /^[0-9.]+$|:/.test(word) || isUuid(word) ? word : (await selectMachine(context, word)).id;

const serviceOf = (protocol: string, port: string | undefined): PacketService => {
  const known = protocols.find((one) => one === protocol);
  if (known === undefined) throw invalid('PROTO', `${JSON.stringify(protocol)} is none of ${protocols.join(', ')}`);
  if (known === 'ah' || known === 'esp') {
    if (port !== undefined) throw invalid('PORT', `${known} has no ports`);
    return { protocol: known };
  }
  if (port === undefined)
    throw invalid(
      'PORT',
      'is missing',
      known === 'icmp' || known === 'icmp6' ? `write the type, such as ${echoRequest[known]} for an echo request` : undefined,
    );
  if (known === 'tcp' || known === 'udp') return { protocol: known, port: parseCount(1, 65_535)('PORT', port) };
  const [type = '', code = '0'] = port.split(':');
  return { protocol: known, type: parseCount(0, 255)('PORT', type), code: parseCount(0, 255)('PORT', code) };
};

const explain = ({ allowed, judgements }: FirewallVerdict): string[] => [
  allowed ? 'allowed' : 'blocked',
  ...(judgements.length === 0 ? ['  neither end has its firewall on'] : []),
  ...judgements.map(({ direction, machine, action, rule }) => {
    const where = `${direction === 'out' ? 'out of' : 'into'} ${machine.name || 'another account’s machine'}`;
    return `  ${where}: ${action === 'allow' ? 'allowed' : 'blocked'} by ${rule === null ? 'default' : `rule ${shortId(rule.id)}: ${rule.rule}`}`;
  }),
];
