import { readFile } from 'node:fs/promises';
import { defineCommand } from '../command.ts';

export const command = defineCommand({
  args: {},
  flags: {},
  examples: ['version'],
  run: async ({ flags }, context) => {
    const { version } = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
    if (flags.json) context.output.json({ version, node: process.versions.node });
    else context.output.line(`cenote ${version} (Node ${process.versions.node})`);
  },
});
