/** Installs the Debian packages that host tests need, as `cenote up` would. */
import { ensurePackages } from '../src/setup/packages.ts';

const added = await ensurePackages(() => {});
if (added.length > 0) console.log(`installed ${added.join(', ')}`);
