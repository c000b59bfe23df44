import { shortId } from '../../base/ids.ts';
import { formatMib } from '../../base/units.ts';
import type { Image } from '../../model/image.ts';
import { defineCommand, toggle } from '../command.ts';
import { formatAge, quoteWords } from '../format.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<Image>[] = [
  { title: 'NAME', cell: (image) => image.name },
  { title: 'ID', cell: (image) => shortId(image.id) },
  { title: 'KIND', cell: (image) => (image.builtIn ? `${image.kind}, built in` : image.kind) },
  { title: 'SIZE', cell: (image) => formatMib(image.sizeMib), right: true },
  { title: 'AGE', cell: (image) => formatAge(image.createdAt), right: true },
  { title: 'COMMAND', cell: ({ config }) => quoteWords([...(config.Entrypoint ?? []), ...(config.Cmd ?? [])]).slice(0, 60) },
];

export const command = defineCommand({
  args: {},
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['image ls'],
  run: async ({ flags }, context) => {
    const images = await (await context.control()).imageList({ signal: context.signal });
    if (flags.json) context.output.json(images);
    else context.output.table(images, columns, { header: !flags.noHeader });
  },
});
