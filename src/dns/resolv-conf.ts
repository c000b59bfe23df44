/** resolv.conf, the host's and the machines'. The host's names its resolvers; the machines' names the gateway, where the resolver answers. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

export interface ResolvConf {
  servers: string[];
  search: string[];
  options: string[];
}

/** What resolv.conf(5) allows; more would be ignored by the machines' libraries too. */
const limits = { servers: 3, search: 6, searchCharacters: 256 } as const;
const domainPattern = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*\.?$/i;
/** Options that say something about the answers; the others are about how this host asks its own servers. */
const carriedOptions = new Set(['edns0', 'trust-ad']);

export const parseResolvConf = (text: string): ResolvConf => {
  const result: ResolvConf = { servers: [], search: [], options: [] };
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver' && words[0] !== undefined && isIP(words[0].replace(/%.*$/, '')) !== 0) result.servers.push(words[0]);
    else if (keyword === 'search' || keyword === 'domain') result.search = words;
    else if (keyword === 'options') result.options.push(...words);
  }
  return { ...result, servers: result.servers.slice(0, limits.servers) };
};

/** An absent file means a server on the host itself, as resolv.conf(5) says. */
export const readResolvConf = (path: string): ResolvConf => {
  let text = '';
  try {
    text = readFileSync(path, 'utf8').slice(0, 65_536);
  } catch {
    // Said below.
  }
  const parsed = parseResolvConf(text);
  return parsed.servers.length > 0 ? parsed : { ...parsed, servers: ['127.0.0.1'] };
};

/**
 * For the machines: the gateway as the one server, `own` as what short names are completed with, and then the host's search domains, so that a
 * short name that is none of their own means the same inside and outside. Always `ndots:1`: a host that is itself a pod may have 5, and each name would be asked for five times.
 */
export const resolvConfFor = (gateway: string, hostPath: string, own: readonly string[]): string => {
  const host = readResolvConf(hostPath);
  let search: string[] = [];
  for (const domain of [...own, ...host.search.filter((name) => domainPattern.test(name))].slice(0, limits.search)) {
    if ([...search, domain].join(' ').length <= limits.searchCharacters) search = [...search, domain];
  }
  const options = ['ndots:1', ...new Set(host.options.filter((option) => carriedOptions.has(option)))];
  return `nameserver ${gateway}\n${search.length > 0 ? `search ${search.join(' ')}\n` : ''}options ${options.join(' ')}\n`;
};
