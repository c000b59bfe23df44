/** A clock that only goes forward, and that the next process reads on from: seconds since this boot of the host, suspended or not. */
import { readFileSync } from 'node:fs';

export interface HostTime {
  boot: string;
  upSeconds: number;
}

export const readHostTime = (): HostTime => ({
  boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  upSeconds: Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]),
});
