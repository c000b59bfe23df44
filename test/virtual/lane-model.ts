/** What a lane's machine must be after steps, as pure values: the judge of what a power loss has left. */
import type { Step } from './inside/work.ts';

export interface LaneState {
  exists: boolean;
  /** As it was last asked to be. */
  running: boolean;
  data: string | null;
  /** What each snapshot holds. */
  snapshots: Record<string, string | null>;
}

export const emptyLane = (): LaneState => ({ exists: false, running: false, data: null, snapshots: {} });

/** Every state a step may leave when the power goes while it is under way: first as before it, last as after it. */
export const acceptable = (before: LaneState, { verb, value }: Pick<Step, 'verb' | 'value'>): LaneState[] => {
  const { [value]: held = null, ...others } = before.snapshots;
  switch (verb) {
    case 'create':
      return [before, { exists: true, running: true, data: null, snapshots: {} }];
    case 'write':
      return [before, { ...before, data: value }];
    case 'snapshot':
      return [before, { ...before, snapshots: { ...before.snapshots, [value]: before.data } }];
    case 'rollback':
      return [before, { ...before, data: held }];
    case 'drop':
      return [before, { ...before, snapshots: others }];
    case 'start':
      return [before, { ...before, running: true }];
    case 'stop':
      return [before, { ...before, running: false }];
    case 'delete':
      return [before, emptyLane()];
  }
};
