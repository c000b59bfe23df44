/** The tenants as virtual machines: what one takes and how soon it answers; and, where the processor need not be emulated, the day of load. */
import { messageChain } from '../../src/base/errors.ts';
import { cpuMs } from '../lib/processes.ts';
import type { LoadShape } from './arrivals.ts';
import { runDay } from './cut.ts';
import type { CutData, GuestCost } from './data.ts';
import { ensureGuestImage } from './guest-image.ts';
import type { GuestImage } from './guest-image.ts';
import { bootGuest } from './guest.ts';
import type { Accelerator, Guest } from './guest.ts';
import { openReserve, openSlices } from './reserve.ts';
import { cutData } from './series.ts';
import type { Sizes } from './sizes.ts';

export interface VirtualRequest {
  sizes: Sizes;
  shape: LoadShape;
  cores: number;
  boots: number;
  /** Also where the processor is emulated: to try the program out. */
  loadAnyway: boolean;
  missing: string[];
  note(text: string): void;
}

export interface VirtualFigures {
  guest: GuestCost | null;
  day: CutData | null;
}

/** With the best accelerator that this host has. What fails is told in `missing`. */
export const measureVirtual = async (request: VirtualRequest): Promise<VirtualFigures> => {
  const { boots, missing, sizes, note } = request;
  if (boots === 0) {
    missing.push('virtual machines: none were asked for');
    return { guest: null, day: null };
  }
  const image = await ensureGuestImage(note);
  for (const accelerator of ['kvm', 'tcg'] as const) {
    try {
      const guest = await costOf(image, accelerator, sizes.sliceMemoryMib, boots);
      note(`virtual machine (${accelerator}): first answer after ${guest.firstAnswerMs.map((ms) => (ms / 1000).toFixed(1)).join(', ')} s`);
      const day = accelerator === 'kvm' || request.loadAnyway ? await dayOf(image, accelerator, request) : null;
      if (day === null) missing.push('the load on real virtual machines: emulated, it would measure the emulator');
      return { guest, day };
    } catch (error) {
      missing.push(`virtual machines with ${accelerator === 'kvm' ? 'KVM' : 'emulation'}: ${messageChain(error).split('\n')[0]!.slice(0, 160)}`);
    }
  }
  return { guest: null, day: null };
};

const costOf = async (image: GuestImage, accelerator: Accelerator, givenMib: number, boots: number): Promise<GuestCost> => {
  const firstAnswerMs: number[] = [];
  let held = { memoryMib: 0, layerMib: 0 };
  for (let index = 0; index < boots; index += 1) {
    await using guest = await bootGuest(image, givenMib, accelerator);
    firstAnswerMs.push(guest.firstAnswerMs);
    held = { memoryMib: guest.memoryMib(), layerMib: guest.layerMib() };
  }
  return { accelerator, firstAnswerMs, ...held, givenMib, imageMib: image.usedMib, packages: image.packages };
};

const dayOf = async (image: GuestImage, accelerator: Accelerator, { sizes, shape, cores, note }: VirtualRequest): Promise<CutData> => {
  await using stack = new AsyncDisposableStack();
  using slices = openSlices(sizes.tenants, sizes.sliceCpuMillis);
  using reserve = openReserve();
  const guests: Guest[] = [];
  for (let tenant = 0; tenant < sizes.tenants; tenant += 1) guests.push(stack.use(await bootGuest(image, sizes.sliceMemoryMib, accelerator)));
  for (const [index, { pid }] of guests.entries()) slices.hold(index, pid);
  const sampled = {
    cpuMs: guests.map(
      ({ pid }) =>
        () =>
          cpuMs(pid),
    ),
    memoryMib: () => guests.reduce((sum, guest) => sum + guest.memoryMib(), 0),
  };
  const found = await runDay(
    guests.map(({ target }) => target),
    sampled,
    shape,
    sizes,
    reserve.files,
    cores,
  );
  note(`virtual machines: ${found.answered} of ${found.asked} answered`);
  // qemu must be gone before its group can be.
  await stack.disposeAsync();
  return cutData(found, sizes.tenants, sizes.daySeconds);
};
