import { CenoteError, invalid } from '../../base/errors.ts';
import { formatMib, mibOfBytes } from '../../base/units.ts';
import type { CreateImage } from '../../model/control-api.ts';
import type { ImageConfig } from '../../model/image.ts';
import { checkResourceName } from '../../model/names.ts';
import { defineCommand, one, parsed, toggle, value } from '../command.ts';
import { chosenProfile } from '../profile/store.ts';
import { readText } from '../read-text.ts';
import { selectMachine } from '../select.ts';
import { parseConfig } from './config.ts';

const parseAt = (field: string, text: string): string => {
  if (!text.startsWith('/') || text.split('/').includes('..') || text.includes('\0'))
    throw invalid(field, `${JSON.stringify(text)} is not an absolute path without ..`);
  return text;
};

export const command = defineCommand({
  detail: [
    'A directory becomes /app of the image (or another place with --at); an archive (tar, also gzip or zstd) is the image from its root.',
    'FILE of --config is JSON: what `docker inspect IMAGE` prints, the OCI image configuration, or its "config" object alone. A command after -- is the image\'s Cmd.',
    'Made on the host, by the operator, it is for machines of all accounts: keep out what only one may know. With a profile it is the account’s own.',
    'With --system the content has a userland of its own (/bin, /usr, /lib); without it, the image runs on a platform.',
  ].join('\n'),
  args: { name: one('NAME') },
  flags: {
    from: value('DIR|TAR', 'the content', { complete: 'file' }),
    fromMachine: value('MACHINE', "the content is a machine's root", { complete: 'machine' }),
    config: value('FILE', 'image configuration', { complete: 'file' }),
    at: parsed('PATH', parseAt, 'where in the image a directory goes (default /app, with --system /)'),
    system: toggle('it has a userland of its own'),
  },
  trailing: 'after-dashes',
  examples: [
    'image create shop --from ./shop -- node server.js',
    'image create alpine --from alpine.tar.gz --system --config alpine.json',
    'image create web2 --from-machine web',
  ],
  run: async ({ args, flags, command: words }, context) => {
    const name = checkResourceName('NAME', args.name);
    if ((flags.from === undefined) === (flags.fromMachine === undefined))
      throw new CenoteError('invalid_argument', 'one of --from and --from-machine is wanted');
    const read = flags.config === undefined ? undefined : parseConfig(flags.config, await readText('--config', flags.config));
    for (const line of read?.notes ?? []) context.output.note(line);
    const config: ImageConfig = {
      ...read?.config,
      ...(words.length === 0 ? {} : { Cmd: words }),
    };
    const control = await context.control();
    using progress = context.output.progress(`creating ${name}`);
    const kind = flags.system ? ('system' as const) : undefined;
    const request: CreateImage = { name, ...(kind === undefined ? {} : { kind }) };
    let content;
    if (flags.fromMachine !== undefined) {
      request.fromMachine = (await selectMachine(context, flags.fromMachine)).id;
      if (Object.keys(config).length > 0) request.config = config;
    } else {
      const { contentOf } = await import('./content.ts');
      const at = flags.at ?? (flags.system ? '/' : '/app');
      const made = await contentOf(flags.from!, at, {
        signal: context.signal,
        onBytes: (total) => progress.update(`creating ${name}: ${formatMib(mibOfBytes(total))} sent`),
        onSkipped: (path) => context.output.note(`skipped ${path}: neither a file, a directory nor a link`),
      });
      if (flags.at !== undefined && !made.directory) throw invalid('--at', 'is for a directory; an archive says itself where its files go');
      content = made.content;
      request.config = made.directory && at !== '/' ? { WorkingDir: at, ...config } : config;
    }
    const image = await control.imageCreate(request, content, { signal: context.signal });
    if (flags.json) context.output.json(image);
    else
      context.output.line(
        `created image ${image.name} (${formatMib(image.sizeMib)})${chosenProfile(context.config) === undefined ? ', for all accounts' : ''}`,
      );
  },
});
