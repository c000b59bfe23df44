/** Help texts, made from the descriptions. Pure. */
import { commonFlags, flagName } from './command.ts';
import type { AnyCommand, Argument, Flag } from './command.ts';
import { sections } from './commands.ts';

const argumentText = (argument: Argument): string =>
  ({
    one: argument.placeholder,
    optional: `[${argument.placeholder}]`,
    some: argument.placeholder.includes('…') ? argument.placeholder : `${argument.placeholder}…`,
    any: `[${argument.placeholder}…]`,
  })[argument.kind];

const flagText = (key: string, flag: Flag): string => {
  const short = flag.short === undefined ? '    ' : `-${flag.short}, `;
  return `${short}${flagName(key)}${flag.kind === 'switch' ? '' : ` ${flag.placeholder}`}`;
};

const columns = (lines: readonly (readonly [string, string])[]): string[] => {
  const width = Math.min(34, Math.max(...lines.map(([left]) => left.length)));
  return lines.map(([left, right]) => (left.length > width ? `  ${left}\n  ${' '.repeat(width)}  ${right}` : `  ${left.padEnd(width)}  ${right}`));
};

export const usageLine = (name: string, command: AnyCommand): string => {
  const trailing = { 'after-dashes': ' [-- COMMAND…]', greedy: ' -- COMMAND…', none: '' }[command.trailing ?? 'none'];
  const args = Object.values(command.args).map((argument) => ` ${argumentText(argument)}`);
  return `cenote ${name}${Object.keys(command.flags).length > 0 ? ' [FLAGS]' : ''}${args.join('')}${trailing}`;
};

export const commandHelp = (name: string, summary: string, command: AnyCommand): string => {
  const flags = Object.entries<Flag>({ ...command.flags, ...commonFlags });
  return [
    summary,
    '',
    `Usage: ${usageLine(name, command)}`,
    ...(command.detail === undefined ? [] : ['', command.detail]),
    '',
    'Flags:',
    ...columns(flags.map(([key, flag]) => [flagText(key, flag), flag.kind === 'many' ? `${flag.about} (may be given again)` : flag.about])),
    ...(command.examples.length === 0 ? [] : ['', 'Examples:', ...command.examples.map((example) => `  cenote ${example}`)]),
  ].join('\n');
};

/** All commands, or those of one noun (`snapshot`). */
export const overview = (noun?: string): string => {
  const shown = sections
    .map(({ title, commands }) => ({ title, lines: Object.entries(commands).filter(([name]) => noun === undefined || name.startsWith(`${noun} `)) }))
    .filter(({ lines }) => lines.length > 0);
  const width = Math.max(...shown.flatMap(({ lines }) => lines.map(([name]) => name.length)));
  return [
    ...(noun === undefined ? ['Cenote: SmartMachines on one shared pool.', ''] : []),
    `Usage: cenote [--profile NAME] [--root DIR] [--agent] ${noun ?? 'COMMAND'} …`,
    ...shown.flatMap(({ title, lines }) => ['', `${title}:`, ...lines.map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)]),
    ...(noun === undefined
      ? [
          '',
          'Before the command:',
          '  --profile NAME  a control plane elsewhere (cenote profile; or CENOTE_PROFILE)',
          '  --root DIR      the instance to talk to (default /var/lib/cenote, or CENOTE_ROOT)',
          '  --agent         talk to the agent directly: ls, get and stop only',
        ]
      : []),
    '',
    `Flags and examples of each: cenote ${noun === undefined ? '' : `${noun} `}COMMAND --help`,
  ].join('\n');
};
