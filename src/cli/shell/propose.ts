/** What may come next on the command line: for `cenote __complete`, whose last word is the one being typed. Never fails; at worst nothing is proposed. */
import { commonFlags, flagName } from '../command.ts';
import type { AnyCommand, Completion, Flag } from '../command.ts';
import { allCommands } from '../commands.ts';
import type { Context } from '../context.ts';
import { localProfile } from '../config.ts';
import { profileNames } from '../profile/store.ts';
import { listMachines } from '../select.ts';

export const propose = async (words: readonly string[], context: Context): Promise<string[]> => {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  try {
    return matching(await proposals(before, typed, context), typed);
  } catch {
    return [];
  }
};

const matching = (all: readonly string[], typed: string): string[] => all.filter((word) => word.startsWith(':') || word.startsWith(typed));

const proposals = async (words: readonly string[], typed: string, context: Context): Promise<readonly string[]> => {
  const names = Object.keys(allCommands());
  const [first] = words;
  if (first === '--root') return [':directory'];
  if (first === '--profile') return candidates('profile', words, context);
  if (first === 'help') return proposals(words.slice(1, 2), typed, context);
  if (first === undefined) return typed.startsWith('-') ? ['--profile', '--root', '--agent', '--help'] : [...new Set(names.map((name) => name.split(' ')[0]!))];
  const name = [1, 2, 3].map((count) => words.slice(0, count).join(' ')).find((joined) => names.includes(joined));
  if (name === undefined) {
    const said = `${words.join(' ')} `;
    return [...new Set(names.filter((one) => one.startsWith(said)).map((one) => one.slice(said.length).split(' ')[0]!))];
  }
  const command = await allCommands()[name]!.load();
  return proposeFor(command, words.slice(name.split(' ').length), typed, context);
};

const proposeFor = async (command: AnyCommand, words: readonly string[], typed: string, context: Context): Promise<readonly string[]> => {
  const flags: Record<string, Flag> = { ...command.flags, ...commonFlags };
  const byName = new Map(
    Object.entries(flags).flatMap(([key, flag]) => [[flagName(key), flag] as const, ...(flag.short === undefined ? [] : [[`-${flag.short}`, flag] as const])]),
  );
  if (words.includes('--')) return [':file'];
  let position = 0;
  let pending: Flag | undefined;
  for (const word of words) {
    if (pending !== undefined) pending = undefined;
    else if (word.startsWith('-')) pending = word.includes('=') || byName.get(word)?.kind === 'switch' ? undefined : byName.get(word);
    else position++;
  }
  if (pending !== undefined) return candidates(pending.complete ?? 'none', words, context);
  if (typed.startsWith('-')) return [...byName.keys()].filter((name) => name.startsWith('--'));
  const args = Object.values(command.args);
  const argument = args[position] ?? (['some', 'any'].includes(args.at(-1)?.kind ?? '') ? args.at(-1) : undefined);
  return argument === undefined ? [] : candidates(argument.complete, words, context);
};

const candidates = async (what: Completion, words: readonly string[], context: Context): Promise<readonly string[]> => {
  if (typeof what !== 'string') return what;
  if (what === 'file' || what === 'directory') return [`:${what}`];
  if (what === 'none') return [];
  if (what === 'machine path') return [':file', ...(await candidates('machine', words, context)).map((name) => `${name}:`)];
  if (what === 'profile') return [localProfile, ...(await profileNames(context.config))];
  const control = await context.control();
  const call = { signal: context.signal };
  switch (what) {
    case 'machine':
      return (await listMachines(context)).map((machine) => machine.name);
    case 'image':
      return (await control.imageList(call)).map((image) => image.name);
    case 'package':
      return (await control.packageList({}, call)).map((each) => each.name);
    case 'platform':
      return (await control.platformList(call)).map((platform) => `${platform.name}@${platform.version}`);
    case 'account':
      return (await control.accountList(call)).map((account) => account.name);
    case 'network':
      return (await control.networkList(call)).map((network) => network.name);
    case 'firewall rule':
      return (await control.firewallRuleList(call)).map((rule) => rule.id);
    case 'snapshot': {
      const machine = words.find((word) => !word.startsWith('-'));
      return machine === undefined ? [] : (await control.snapshotList(machine, call)).map((snapshot) => snapshot.name);
    }
  }
};
