/** What the kernel does with programs that are loaded while signals come in. Needs root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { loadProgram } from '../../src/sys/bpf.ts';
import { closeFd } from '../../src/sys/libc.ts';

/** So many that the kernel takes some ms over it. */
const instructions = 5000;
const setZero = Buffer.from([0xb7, 0, 0, 0, 0, 0, 0, 0]);
const exit = Buffer.from([0x95, 0, 0, 0, 0, 0, 0, 0]);
const program = Buffer.concat([...Array.from({ length: instructions }, () => setZero), exit]);

/** As when children end, some ms apart. */
const signalScript = `
  const signal = () => { process.kill(process.ppid, 'SIGCHLD'); setTimeout(signal, 50 * Math.random()); };
  console.log('on');
  signal();`;

test('a program is loaded although signals come in', async () => {
  const signals = spawn(process.execPath, ['-e', signalScript], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(signals.stdout, 'data');
    for (let times = 0; times < 100; times += 1) closeFd(loadProgram('cenote_test', program));
  } finally {
    signals.kill();
    await once(signals, 'exit');
  }
});
