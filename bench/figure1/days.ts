/** Both days of load on one cut of the host, by machines that are made for it: the one on which peaks follow one another, and the one on which they meet. */
import type { Machine } from '../../src/model/control-api.ts';
import type { LoadShape } from './arrivals.ts';
import { idleCost } from './costs.ts';
import { runDay } from './cut.ts';
import type { CutData, Figure1Data, MachineCost } from './data.ts';
import { sampledMachines } from './sampler.ts';
import { cutData } from './series.ts';
import type { Sizes } from './sizes.ts';
import { targetOf } from './tenants.ts';
import type { Cut, Tenants } from './tenants.ts';

export interface DaysRequest {
  tenants: Tenants;
  sizes: Sizes;
  shape: LoadShape;
  /** The generator's. */
  group: string[];
  cores: number;
  note(text: string): void;
}

export interface Days {
  day: CutData;
  together: Figure1Data['together'][Cut];
  idle: Pick<MachineCost, 'appMib' | 'monitorMib' | 'diskMib'>;
}

/** `after` has the machines before they go. */
export const measureDays = async (request: DaysRequest, cut: Cut, after: (machines: readonly Machine[]) => Promise<void> = async () => {}): Promise<Days> => {
  const { tenants, sizes, shape, group, cores, note } = request;
  const machines = await tenants.createAll(cut);
  const idle = await idleCost(tenants, machines);
  const sampled = sampledMachines(
    tenants.host.instance,
    machines.map(({ id }) => id),
  );
  const run = async (one: LoadShape): Promise<CutData> => {
    const found = cutData(await runDay(machines.map(targetOf), sampled, one, sizes, group, cores), sizes.tenants, one.seconds);
    note(
      `${cut}, peaks ${one.peaks}: ${found.answered} of ${found.asked} answered, p99 ${found.p99 ?? '-'} ms; others took ${found.otherCores.toFixed(2)} cores`,
    );
    return found;
  };
  const day = await run(shape);
  const { asked, answered, p50, p99 } = await run({ ...shape, seconds: sizes.togetherSeconds, peaks: 'together' });
  await after(machines);
  await tenants.remove(machines);
  return { day, together: { asked, answered, p50, p99 }, idle };
};
