/**
 * Another size, live: disk, control groups, link and record change as one, or not at all. What may be refused because it is in use, less of
 * something, comes first; more of something comes late, since what is used at once could not be taken back.
 */
import { messageChain } from '../../base/errors.ts';
import type { Resources } from '../../model/resources.ts';
import type { Machine } from './machine.ts';

export const resizeMachine = async (machine: Machine, resources: Resources): Promise<void> => {
  const { host, id, run, record } = machine;
  using _mine = await machine.limits.acquire();
  const former = record.spec.resources;
  const undo = new AsyncDisposableStack();
  const quota = async () => {
    await host.storage.volumeResize(id, resources.diskMib);
    undo.defer(() => host.storage.volumeResize(id, former.diskMib));
  };
  try {
    if (resources.diskMib < former.diskMib) await quota();
    host.crash.reach('resize: less disk');
    if (run !== null) {
      await host.cgroups.apply(id, resources);
      undo.defer(() => host.cgroups.apply(id, former));
      host.crash.reach('resize: control groups');
      const [formerScore, score] = [host.cgroups.oomScore(former.memoryMib), host.cgroups.oomScore(resources.memoryMib)];
      undo.defer(() => host.cgroups.rescore(id, score, formerScore));
      await host.cgroups.rescore(id, formerScore, score);
      if (resources.networkCeilingMbps !== former.networkCeilingMbps) {
        // Two ends: should the second fail, the first has to go back too.
        undo.defer(() => host.network.limit(run.slot, run.process.pid, former.networkCeilingMbps));
        await host.network.limit(run.slot, run.process.pid, resources.networkCeilingMbps);
      }
      if (resources.networkMbps !== former.networkMbps) {
        undo.defer(() => host.network.guarantee(run.slot, former.networkMbps));
        await host.network.guarantee(run.slot, resources.networkMbps);
      }
      host.crash.reach('resize: network');
    }
    if (resources.diskMib > former.diskMib) await quota();
    host.crash.reach('resize: more disk');
    record.spec = { ...record.spec, resources };
    undo.defer(() => {
      record.spec = { ...record.spec, resources: former };
    });
    await machine.conclude();
  } catch (error) {
    await undo.disposeAsync().catch((failed: unknown) => {
      host.logger.error({ machine: id, error: messageChain(failed) }, 'a resize that was refused could not be undone as a whole');
    });
    throw error;
  }
  host.events.emit('machine.resized', id, `${machine.spec.name} was resized`, { from: former, to: resources });
};
