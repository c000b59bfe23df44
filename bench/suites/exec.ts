/** One more process in a machine, through the control plane's WebSocket, beside `crun exec` alone. */
import { openExec } from '../../src/cli/machine/exec-session.ts';
import { run } from '../../src/exec/run.ts';
import { metOrNot, p50p99, times } from '../lib/format.ts';
import { timed } from '../lib/measure.ts';
import { summarise } from '../lib/statistics.ts';
import type { Suite } from '../lib/suite.ts';

export const execSuite: Suite = {
  name: 'exec',
  title: 'exec',
  method: 'A WebSocket to the control plane, `true` in a machine, until its exit code is here; in turns with `crun exec` of the same.',
  run: async (bench) => {
    const instance = await bench.instance();
    const count = bench.count(100, 10);
    const machine = await instance.create();
    const handlers = { onOutput: () => {} };
    const start = { command: ['/bin/true'], tty: false, stdin: false };
    const throughApi = async (): Promise<void> => {
      using session = await openExec(instance.client.http, machine.id, start, handlers, new AbortController().signal);
      const { code } = await session.exit;
      if (code !== 0) throw new Error(`exec ended with ${code}`);
    };
    const state = `/run/cenote-${instance.host.instance}/crun`;
    const bare = () => run('crun', ['--root', state, 'exec', machine.id, '/bin/true']);
    await throughApi();
    await bare();
    const taken = { api: [] as number[], crun: [] as number[] };
    for (let index = 0; index < count; index += 1) {
      taken.api.push(await timed(throughApi));
      taken.crun.push(await timed(bare));
    }
    await instance.remove(machine.id);
    const [api, crun] = [summarise(taken.api), summarise(taken.crun)];
    return {
      rows: [
        { what: 'floor: `crun exec`', value: p50p99(crun) },
        {
          what: 'exec through the API',
          value: p50p99(api),
          against: `${times(api.p50 / crun.p50)} of the floor`,
          note: metOrNot(api.p50 <= 25, 'p50 <= 25 ms'),
        },
      ],
      data: { api, crun },
    };
  },
};
