/** Installs the Debian packages that host tests need: those of `cenote up`, and the programs that only tests start. */
import { ensurePackages, neededPackages } from '../src/setup/packages.ts';

const added = await ensurePackages(() => {}, undefined, {
  ...neededPackages,
  'iputils-ping': 'ping',
  procps: 'ps',
  postgresql: 'psql',
  'bind9-dnsutils': 'dig',
  nsd: 'nsd',
  'openssh-server': 'sshd',
  packer: 'packer',
});
if (added.length > 0) console.log(`installed ${added.join(', ')}`);
