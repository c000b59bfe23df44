import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { CenoteError, invalid } from '../../base/errors.ts';
import { plainFingerprint, shownCertificate } from '../../client/certificate.ts';
import type { Trust } from '../../client/remote.ts';
import { agentKeys } from '../../client/ssh/agent.ts';
import { isFingerprint } from '../../client/ssh/public-key.ts';
import type { AccessKeySource } from '../../client/access-key.ts';
import type { KeySource } from '../../client/signer.ts';
import { defineCommand, one, value } from '../command.ts';
import type { CliConfig } from '../config.ts';
import { accessKeyPattern, secretVariable } from '../../model/names.ts';
import { whyNot } from '../why-not.ts';
import { connectTo } from './connect.ts';
import { checkProfileName, profileNames, profileSave } from './store.ts';

export const command = defineCommand({
  detail: [
    "The control plane's address stands in `cenote info` on its host (`cenote up --cloudapi ADDRESS` serves it to others), and so does the fingerprint of a certificate of its own.",
    "Without --key the key is ~/.ssh/id_ed25519, id_ecdsa or id_rsa, or the SSH agent's only one. With --access-key there need be no SSH key. A profile is tried before it is kept.",
  ].join('\n'),
  args: { name: one('NAME') },
  flags: {
    url: value('URL', 'where the control plane serves CloudAPI: https://HOST:PORT'),
    account: value('ACCOUNT', 'the account to act for'),
    user: value('LOGIN', 'one of its users, with a key and roles of his own', { short: 'u' }),
    key: value('FILE|FINGERPRINT', 'a private key; or one of the SSH agent', { complete: 'file' }),
    accessKey: value('ID', 'an access key in place of an SSH key, for programs that have none'),
    secretFile: value('FILE', `its secret, in a file of mode 0600; without it ${secretVariable} is looked at, each time`, { complete: 'file' }),
    trust: value('FINGERPRINT', "SHA-256 of the server's certificate: trust this one"),
    ca: value('FILE', "certificate (PEM) of the authority that vouches for the server's", { complete: 'file' }),
  },
  examples: [
    'profile create home --url https://192.0.2.7:7080 --account alice --trust 4F:21:…',
    'profile create work --url https://cloud.example.com --account alice --key ~/.ssh/work',
    'profile create ops --url https://cloud.example.com --account alice --user carol',
    'profile create ci --url https://cloud.example.com --account alice --access-key CNAK7H2M4Q8R0T3VXYZ1 --secret-file secret',
  ],
  run: async ({ args, flags }, context) => {
    const { config, output, signal } = context;
    const name = checkProfileName('NAME', args.name);
    if (flags.url === undefined) throw invalid('--url', 'is missing');
    if (flags.account === undefined) throw invalid('--account', 'is missing');
    if (flags.trust !== undefined && flags.ca !== undefined) throw invalid('--trust', 'is not for a certificate that --ca vouches for');
    if ((await profileNames(config)).includes(name))
      throw new CenoteError('already_exists', `there is a profile ${JSON.stringify(name)} already`, {
        advice: `delete it first: cenote profile delete ${name}`,
      });
    const url = parseUrl(flags.url);
    const key = accessKeyOf(flags) ?? (await keyOf(flags.key, config));
    const trust = await trustOf(url, flags, signal);
    const profile = { url: url.origin, account: flags.account, ...(flags.user === undefined ? {} : { user: checkLogin(flags.user) }), key, trust };
    using control = await connectTo(profile, config);
    const { version } = await control.info({ signal });
    await profileSave(config, name, profile);
    if (flags.json) return output.json({ name, ...profile });
    output.line(`created profile ${name}: ${profile.account} at ${profile.url} (Cenote ${version})`);
    output.line(`  cenote --profile ${name} ls, or for all commands: cenote profile use ${name}`);
  },
});

/** It becomes part of the path that names the key. */
const checkLogin = (login: string): string => {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.@-]{0,63}$/.test(login)) throw invalid('--user', `${JSON.stringify(login.slice(0, 80))} is not the login of a user`);
  return login;
};

const parseUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.hostname === '')
    throw invalid('--url', `${JSON.stringify(text)} is not https://HOST:PORT`);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '')
    throw invalid('--url', 'has nothing but a host and a port', `write ${url.origin}`);
  if (url.protocol === 'http:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname))
    throw invalid('--url', 'without TLS only this host itself is reached', 'serve it to others with TLS: cenote up --cloudapi ADDRESS');
  return url;
};

/** Undefined where none is meant. */
const accessKeyOf = ({ key, accessKey, secretFile }: Record<'key' | 'accessKey' | 'secretFile', string | undefined>): AccessKeySource | undefined => {
  if (accessKey === undefined) {
    if (secretFile !== undefined) throw invalid('--access-key', 'is missing: the secret is of one');
    return undefined;
  }
  if (key !== undefined) throw invalid('--key', 'is an SSH key, and --access-key stands in its place');
  if (!accessKeyPattern.test(accessKey))
    throw invalid(
      '--access-key',
      `${JSON.stringify(accessKey.slice(0, 80))} is not the id of an access key`,
      'CNAK and 16 characters; the secret is in --secret-file',
    );
  return { accessKey, ...(secretFile === undefined ? {} : { secretFile: resolve(secretFile) }) };
};

const usualKeys = ['id_ed25519', 'id_ecdsa', 'id_rsa'];

const keyOf = async (asked: string | undefined, { sshAgent }: CliConfig): Promise<KeySource> => {
  if (asked !== undefined) return isFingerprint(asked) ? { fingerprint: asked } : { file: resolve(asked) };
  const file = usualKeys.map((key) => `${homedir()}/.ssh/${key}`).find((path) => existsSync(path));
  if (file !== undefined) return { file };
  const keys = sshAgent === undefined ? [] : await agentKeys(sshAgent);
  if (keys.length === 1) return { fingerprint: keys[0]!.sha256 };
  if (keys.length > 1) throw invalid('--key', `is missing: the SSH agent has ${keys.length} keys`, `one of ${keys.map(({ sha256 }) => sha256).join(', ')}`);
  throw invalid(
    '--key',
    'is missing: there is none in ~/.ssh, nor in an SSH agent',
    'make one: ssh-keygen -t ed25519; the operator gives it to the account: cenote account key add',
  );
};

const trustOf = async (url: URL, { trust, ca }: { trust: string | undefined; ca: string | undefined }, signal: AbortSignal): Promise<Trust> => {
  if (url.protocol === 'http:') return { kind: 'system' };
  if (ca !== undefined) return { kind: 'authority', pem: await readAuthority(ca) };
  const wanted = trust === undefined ? undefined : plainFingerprint(trust);
  if (trust !== undefined && wanted === undefined)
    throw invalid('--trust', `${JSON.stringify(trust)} is no SHA-256 fingerprint`, '64 hexadecimal digits, as `cenote info` on the server tells it');
  const shown = await shownCertificate(url, signal);
  if (wanted === undefined) {
    if (shown.vouched) return { kind: 'system' };
    throw new CenoteError(
      'unauthorized',
      `nobody that this host trusts vouches for the certificate of ${url.host}, whose fingerprint is ${shown.fingerprint}`,
      {
        advice: `if \`cenote info\` on the server tells the same, repeat it with: --trust ${shown.fingerprint}`,
      },
    );
  }
  if (plainFingerprint(shown.fingerprint) !== wanted)
    throw new CenoteError('unauthorized', `${url.host} shows another certificate than the one to trust: its fingerprint is ${shown.fingerprint}`, {
      advice: 'it is another server, or somebody in between; see `cenote info` on the server',
    });
  return { kind: 'certificate', pem: shown.pem };
};

const readAuthority = async (path: string): Promise<string> => {
  const pem = await readFile(path, 'utf8').catch((error: unknown) => {
    throw invalid('--ca', `${path} cannot be read: ${whyNot(error)}`);
  });
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw invalid('--ca', `${path} holds no certificate in PEM format`);
  return pem;
};
