import { formatMib } from '../../base/units.ts';
import { defineCommand, one } from '../command.ts';
import { detailLines } from '../details.ts';
import { formatAge, quoteWords } from '../format.ts';

export const command = defineCommand({
  args: { image: one('IMAGE', 'image') },
  flags: {},
  examples: ['image get node'],
  run: async ({ args, flags }, context) => {
    const image = await (await context.control()).imageGet(args.image, { signal: context.signal });
    if (flags.json) return context.output.json(image);
    const { config } = image;
    const lines = detailLines([
      ['Name', image.name],
      ['Id', image.id],
      ['Kind', image.kind === 'system' ? 'system: has a userland of its own' : 'app: runs on a platform'],
      ['Built in', image.builtIn ? 'yes' : null],
      ['Size', formatMib(image.sizeMib)],
      ['Created', `${image.createdAt} (${formatAge(image.createdAt)} ago)`],
      ['Entrypoint', quoteWords(config.Entrypoint ?? [])],
      ['Command', quoteWords(config.Cmd ?? [])],
      ['Environment', config.Env ?? []],
      ['User', config.User],
      ['Directory', config.WorkingDir],
      ['Ports', Object.keys(config.ExposedPorts ?? {})],
      ['Stop signal', config.StopSignal],
      ['Health check', quoteWords(config.Healthcheck?.Test ?? [])],
      ['Labels', Object.entries(config.Labels ?? {}).map(([name, text]) => `${name}=${text}`)],
    ]);
    for (const line of lines) context.output.line(line);
  },
});
