/**
 * Where this host's own packages come from, so that a platform is built from the same place: its distribution's entries of
 * sources.list and sources.list.d, and the Acquire options (a proxy, mostly). Third parties' entries are left out: one
 * of them being away must not break a build.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { isErrno } from '../../sys/libc.ts';

export interface AptSource {
  uri: string;
  suite: string;
  components: string[];
  options: Record<string, string>;
}

const optionNames: Record<string, string> = { 'Signed-By': 'signed-by', Trusted: 'trusted', Architectures: 'arch', 'Check-Valid-Until': 'check-valid-until' };

/** `deb [signed-by=…] URI SUITE COMPONENT…` */
export const parseOneLine = (text: string): AptSource[] =>
  text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line);
    if (match === null) return [];
    const options = Object.fromEntries(
      (match[1] ?? '')
        .split(/\s+/)
        .filter(Boolean)
        .map((option) => option.split(/=(.*)/s).slice(0, 2) as [string, string]),
    );
    return [{ uri: match[2]!, suite: match[3]!, components: match[4]!.trim().split(/\s+/).filter(Boolean), options }];
  });

/** deb822: stanzas of `Key: value`, lines that begin with a space continue. */
export const parseStanzas = (text: string): AptSource[] =>
  text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .split(/\n[ \t]*\n/)
    .flatMap((stanza) => {
      const fields = new Map<string, string>();
      for (const [, key, value] of stanza.matchAll(/^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)/gm)) fields.set(key!, value!.trim());
      const words = (key: string) => (fields.get(key) ?? '').split(/\s+/).filter(Boolean);
      if (!words('Types').includes('deb') || /^(no|false|0)$/i.test(fields.get('Enabled') ?? '')) return [];
      const options: Record<string, string> = {};
      for (const [field, name] of Object.entries(optionNames)) {
        const value = fields.get(field);
        // A key within the stanza cannot be said in one line; such are third parties'.
        if (value !== undefined && !value.includes('\n')) options[name] = value.split(/\s+/).join(',');
      }
      return words('URIs').flatMap((uri) => words('Suites').map((suite) => ({ uri, suite, components: words('Components'), options })));
    });

/** The distribution's own: its suite or one that extends it, with the component `main`. */
export const ofDistribution = (sources: readonly AptSource[], codename: string): AptSource[] =>
  sources.filter(
    ({ suite, components }) =>
      (suite === codename || suite.startsWith(`${codename}-`) || suite === `${codename}/updates`) &&
      components.includes('main') &&
      !suite.endsWith('-backports'),
  );

const formatSource = ({ uri, suite, components, options }: AptSource): string => {
  const said = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  return ['deb', ...(said.length === 0 ? [] : [`[${said.join(' ')}]`]), uri, suite, ...components].join(' ');
};

/** One-line entries of the distribution `codename` as this host (`etcApt` is /etc/apt) has them. */
export const hostSources = async (etcApt: string, codename: string): Promise<string[]> => {
  const directory = join(etcApt, 'sources.list.d');
  const read = (path: string) => readFile(path, 'utf8').catch(absent(''));
  const sources = parseOneLine(await read(join(etcApt, 'sources.list')));
  for (const name of (await readdir(directory).catch(absent<string[]>([]))).toSorted()) {
    if (name.endsWith('.list')) sources.push(...parseOneLine(await read(join(directory, name))));
    if (name.endsWith('.sources')) sources.push(...parseStanzas(await read(join(directory, name))));
  }
  const lines = [...new Set(ofDistribution(sources, codename).map(formatSource))];
  if (lines.length === 0)
    throw new CenoteError('unsupported', `this host's apt has no source of ${codename} main to build a platform from`, {
      advice: 'see /etc/apt/sources.list.d',
    });
  return lines;
};

/** Of `apt-config dump`: how to fetch, not what. */
export const fetchOptions = (dump: string): string[] =>
  dump
    .split('\n')
    .filter(
      (line) =>
        /^Acquire::(https?|Check-Valid-Until|Check-Date|Retries|ForceIPv[46]|Languages)\b.*"[^"]*";$/.test(line) && !line.startsWith('Acquire::Languages ""'),
    );

const absent =
  <Value>(instead: Value) =>
  (error: unknown): Value => {
    if (isErrno(error, 'ENOENT')) return instead;
    throw error;
  };
