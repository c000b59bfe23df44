import { X509Certificate } from 'node:crypto';
import { secretVariable } from '../../model/names.ts';
import { defineCommand, one } from '../command.ts';
import { detailLines } from '../details.ts';
import { profileGet } from './store.ts';
import type { Profile } from './store.ts';

const trustText = ({ trust, url }: Profile): string => {
  if (url.startsWith('http:')) return 'no TLS: this host itself';
  if (trust.kind === 'system') return 'whom this host trusts';
  const { fingerprint256, subject, validTo } = new X509Certificate(trust.pem);
  return `${trust.kind === 'authority' ? 'the authority' : 'this certificate'} ${fingerprint256} (${subject.replaceAll('\n', ', ')}, until ${validTo})`;
};

const keyText = ({ key }: Profile): string => {
  if ('accessKey' in key) return `access key ${key.accessKey}, its secret in ${key.secretFile ?? secretVariable}`;
  return 'file' in key ? key.file : `${key.fingerprint}, of the SSH agent`;
};

export const command = defineCommand({
  args: { name: one('NAME', 'profile') },
  flags: {},
  examples: ['profile get home', 'profile get home --json'],
  run: async ({ args, flags }, { config, output }) => {
    const profile = await profileGet(config, args.name);
    if (flags.json) return output.json({ name: args.name, ...profile });
    const { url, account, user } = profile;
    const lines = detailLines([
      ['Name', args.name],
      ['URL', url],
      ['Account', account],
      ...(user === undefined ? [] : [['User', user] as [string, string]]),
      ['Key', keyText(profile)],
      ['Trusts', trustText(profile)],
    ]);
    for (const line of lines) output.line(line);
  },
});
