/**
 * One machine: the only owner of its record and of its run. All that happens to it goes through one queue, requests and ends of
 * processes alike, so that no two steps ever overlap.
 *
 * A request carries a generation. A lower one than accepted is refused, an equal one gets the outcome of the first (it is taken again
 * when a crash left none, or it failed and may pass: every action is idempotent), a higher one is the next action.
 */
import { CenoteError, asCenoteError, messageChain, messageOf } from '../../base/errors.ts';
import { Semaphore } from '../../base/semaphore.ts';
import { SerialQueue } from '../../base/serial-queue.ts';
import { within } from '../../base/within.ts';
import { noUsage } from '../../host/cgroup/cgroup.ts';
import type { RuntimeExit } from '../../host/runtime/runtime.ts';
import type { HealthCheck } from '../../model/event.ts';
import type { MachineExit, MachineSpec, MachineState, MachineStatus } from '../../model/machine.ts';
import { stopSignal } from '../../model/signal.ts';
import type { Host } from '../host.ts';
import { endOf, exitOf, failedStart } from './exit-reason.ts';
import { healthPlan, watchHealth } from './health.ts';
import type { HealthPlan, HealthState } from './health.ts';
import { probeHealth } from './probe.ts';
import type { MachineRecord } from './record.ts';
import { restartDelayMs, settledMs } from './restart.ts';
import { bringUp, takeDown } from './run.ts';
import { askToEnd } from './stop-signal.ts';
import { openSerialLine } from './serial-line.ts';
import { undoUpdate } from './update.ts';
import { runUserScript } from './user-script.ts';
import type { Run } from './run.ts';

const queueLimit = 64;
const killWaitMs = 10_000;

interface Current extends Run {
  exit: PromiseWithResolvers<RuntimeExit>;
  startedMs: number;
  end: RuntimeExit | null;
  health: HealthState;
  /** What made it healthy, or unhealthy. */
  healthCheck: HealthCheck | null;
  stopHealth: AbortController;
}

/** A start by policy, to come. */
interface Restart {
  at: string;
  timer: NodeJS.Timeout;
}

export class Machine {
  readonly host: Host;
  readonly record: MachineRecord;
  /** Whoever writes its limits in the kernel holds this, until they and the record agree: a resize, or the governor. */
  readonly limits = new Semaphore(1);
  readonly #queue = new SerialQueue(queueLimit);
  #run: Current | null = null;
  #transition: MachineState | null = null;
  #failures = 0;
  #restart: Restart | null = null;
  #gone = false;
  #isClean = true;

  constructor(host: Host, record: MachineRecord) {
    this.host = host;
    this.record = record;
  }

  get id(): string {
    return this.record.spec.id;
  }

  get spec(): MachineSpec {
    return this.record.spec;
  }

  get run(): Run | null {
    return this.#run;
  }

  get health(): HealthState {
    return this.#run?.health ?? 'none';
  }

  /** In words, what the check did that made its health what it is; null as long as it is `starting`. */
  get healthReason(): string | null {
    return this.#run?.healthCheck?.reason ?? null;
  }

  /** How its process has ended, in words, though nobody has dealt with it yet; null while it runs. */
  get ending(): string | null {
    if (this.#run === null) return 'it does not run';
    const { end } = this.#run;
    return end === null ? null : exitOf(end.code, end.at, noUsage).reason;
  }

  get state(): MachineState {
    if (this.#transition !== null) return this.#transition;
    if (this.#run !== null) return 'running';
    if (this.record.phase !== 'ready') return this.record.phase === 'deleting' ? 'deleting' : 'provisioning';
    if (this.#restart !== null) return 'provisioning';
    return this.record.desired === 'running' || this.record.error !== null ? 'failed' : 'stopped';
  }

  status(): MachineStatus {
    const { spec, generation, desired, createdAt, startedAt, exit, error, restarts, etcConflicts = [] } = this.record;
    const pid = this.#run?.process.pid ?? null;
    const [sequence, state, health] = [this.host.events.last, this.state, this.health];
    const restart = this.#restart === null ? {} : { restartAt: this.#restart.at };
    const failing = health === 'unhealthy' ? { healthCheck: this.#run!.healthCheck! } : {};
    const asked = { id: this.id, spec, generation, sequence, desired, etcConflicts };
    return { ...asked, state, pid, createdAt, startedAt, exit, error, restarts, ...restart, health, ...failing };
  }

  /** Takes a request's turn; see the file's head for generations. */
  request(generation: number, transition: MachineState | null, action: () => Promise<void>): Promise<MachineStatus> {
    return this.#queue.run(async () => {
      if (this.#gone) throw new CenoteError('not_found', `there is no machine ${this.id}`);
      const { record } = this;
      if (generation < record.generation) {
        throw new CenoteError('stale_generation', `generation ${generation} is older than ${record.generation}, which was asked for already`);
      }
      if (generation === record.generation && record.outcome !== null) {
        const failure = record.outcome.error === null ? null : CenoteError.fromBody(record.outcome.error);
        if (failure === null) return this.status();
        if (!failure.retryable) throw failure; // what may be tried again is no answer to who tries again
      }
      record.generation = generation;
      record.outcome = null;
      this.#transition = transition;
      let isRecorded = false;
      try {
        if (transition !== 'deleting' && transition !== 'stopping') await undoUpdate(this);
        await action();
        isRecorded = record.outcome !== null; // the action has concluded itself
        record.outcome = { error: null };
      } catch (error) {
        const known = asCenoteError(error);
        this.host.logger.warn({ machine: this.id, generation, error: messageChain(error) }, 'action failed');
        record.outcome = { error: known.toBody() };
        throw known;
      } finally {
        this.#transition = null;
        if (!this.#gone && !isRecorded) await this.save();
      }
      return this.status();
    });
  }

  /** A turn that changes nothing a generation counts: snapshots, copies, recovery. `mostWaiting`: Infinity for what nobody asks for. */
  turn<T>(action: () => Promise<T>, mostWaiting?: number): Promise<T> {
    return this.#queue.run(async () => {
      if (this.#gone) throw new CenoteError('not_found', `there is no machine ${this.id}`);
      await undoUpdate(this);
      return action();
    }, mostWaiting);
  }

  /** On record when it resolves; told to the resolver at once. */
  save(): Promise<void> {
    this.tellNames();
    return this.host.journal.saveMachine(this.record);
  }

  /**
   * On record for whoever comes after this process, at once; on disk with the next save. Enough where a power loss ends what is noted too, and
   * the action is taken up again.
   */
  note(): Promise<void> {
    this.tellNames();
    return this.host.journal.noteMachine(this.record);
  }

  /** For an action that has only to be recorded: what it changed and that it succeeded, in one write, and the machine is as before. When that fails, so has the action. */
  async conclude(): Promise<void> {
    [this.record.outcome, this.#transition] = [{ error: null }, null];
    await this.save();
  }

  tellNames(): void {
    this.host.names.changed(this.spec, this.state === 'running');
  }

  /** Starts a run; nothing when it runs already. On failure the record says why. */
  async boot(): Promise<void> {
    this.#cancelRestart();
    if (this.#run !== null) return;
    const { host, record } = this;
    const begun = performance.now();
    try {
      if (!this.#isClean) await this.clean();
      const run = await bringUp(host, record.spec, (slot, trees) => {
        record.slot = slot;
        record.trees = trees;
        return this.save();
      });
      record.startedAt = new Date().toISOString();
      record.error = null;
      this.#follow(run);
      host.events.emit('machine.started', this.id, `${this.spec.name} is running`, {
        milliseconds: Math.round((performance.now() - begun) * 10) / 10,
        pid: run.process.pid,
      });
      // The script may ask for its metadata there.
      void openSerialLine(this, run).then(() => runUserScript(this, run));
    } catch (error) {
      record.slot = null;
      record.error = messageOf(error);
      throw error;
    }
  }

  /** A start that somebody waits for: told of its failure, they ask again if they wish, and until then it is at rest, `failed`. */
  async bootAsAsked(): Promise<void> {
    try {
      await this.boot();
    } catch (error) {
      this.record.desired = 'stopped';
      throw error;
    }
  }

  /** A run that a former agent started, found alive. */
  adopt(run: Run): void {
    this.#follow(run);
  }

  /** Ends the run: the stop signal, the grace period, then the kill. Nothing when it does not run. */
  async halt(graceSeconds: number): Promise<void> {
    this.#cancelRestart();
    const run = this.#run;
    if (run === null) return this.clean();
    const { host } = this;
    this.#transition ??= 'stopping';
    const signal = stopSignal(this.spec.config.StopSignal);
    const stopped = { machine: this.id, firstPid: run.process.pid, startedMs: run.startedMs, exited: run.exit.promise };
    let exit = await askToEnd(host, stopped, signal, graceSeconds * 1000);
    if (exit === null) {
      await host.cgroups.kill(this.id);
      exit = await within(run.exit.promise, killWaitMs);
    }
    this.#tellEnd(await this.#endRun(run, exit));
  }

  /** At once, for deletion: no signal, no waiting for output. */
  async destroyRun(): Promise<void> {
    this.#cancelRestart();
    this.#run?.stopHealth.abort();
    this.#run = null;
    await this.clean();
  }

  /** Called once when the machine is deleted: later turns find nothing. */
  retire(): void {
    this.#gone = true;
    this.#cancelRestart();
  }

  /** From the runtime, at any time. */
  ended(exit: RuntimeExit): void {
    const run = this.#run;
    if (run === null) return;
    run.end = exit;
    run.exit.resolve(exit);
    this.#queue
      .run(async () => {
        if (this.#run !== run) return; // an action waited for this end and has dealt with it
        // Whether it is at rest is not known before its end is judged; who is told of the end asks then.
        this.#transition = 'stopping';
        try {
          const ended = await this.#endRun(run, exit);
          if (performance.now() - run.startedMs > settledMs) this.#failures = 0;
          this.#considerRestart(ended);
        } finally {
          this.#transition = null;
        }
        this.#tellEnd(this.record.exit!);
        await this.save();
      }, Infinity)
      .catch((error: unknown) => this.host.logger.error({ machine: this.id, error: messageChain(error) }, 'the end of a machine could not be dealt with'));
  }

  /** An end that came while no agent watched. What follows from it is for `judgeEnd`, once nothing of the run is left. */
  async endedUnwatched(exit: RuntimeExit): Promise<void> {
    this.record.exit = endOf(exit, await this.host.cgroups.usage(this.id));
    this.#tellEnd(this.record.exit);
    await this.clean();
    await this.save();
  }

  judgeEnd(): Promise<void> {
    if (this.record.exit !== null) this.#considerRestart(this.record.exit);
    return this.save();
  }

  #follow(run: Run): void {
    const plan = healthPlan(this.spec.config);
    const current: Current = {
      ...run,
      exit: Promise.withResolvers(),
      startedMs: performance.now(),
      end: null,
      health: plan === null ? 'none' : 'starting',
      healthCheck: null,
      stopHealth: new AbortController(),
    };
    this.#run = current;
    if (plan === null) return;
    const report = (state: HealthState, check: HealthCheck) => {
      current.health = state;
      current.healthCheck = check;
      const because = state === 'healthy' ? '' : `: its health check failed: ${check.reason}`;
      this.host.events.emit('machine.health', this.id, `${this.spec.name} is ${state}${because}`, { health: state, check });
    };
    const probe = (asked: HealthPlan) => probeHealth(this.host, this.id, current, asked);
    void watchHealth(plan, probe, report, current.stopHealth.signal);
  }

  async #endRun(run: Current, exit: RuntimeExit | null): Promise<MachineExit> {
    const ended = endOf(exit, await this.host.cgroups.usage(this.id));
    run.stopHealth.abort();
    this.#run = null;
    await this.clean();
    // Told together with what follows from it.
    this.record.exit = ended;
    return ended;
  }

  #tellEnd({ code, signal, outOfMemory, reason }: MachineExit): void {
    const restart = this.#restart === null ? {} : { restartAt: this.#restart.at };
    this.host.events.emit('machine.exited', this.id, `${this.spec.name} ${reason}`, { code, signal, outOfMemory, ...restart });
  }

  /** Nothing of a run is left. Where that fails, a start tries it again first. */
  async clean(): Promise<void> {
    this.#isClean = false;
    await takeDown(this.host, this.id, this.record.slot);
    this.record.slot = null;
    this.#isClean = true;
  }

  #considerRestart(exit: MachineExit): void {
    const { record } = this;
    this.#failures += 1;
    const delay = record.desired === 'running' ? restartDelayMs(this.spec.restart, exit, this.#failures) : null;
    if (delay === null) {
      // Its work is done, or it is not to be tried again: at rest either way, and start brings it back.
      record.desired = 'stopped';
      record.error = exit.code === 0 ? null : exit.reason;
      return;
    }
    this.#scheduleRestart(delay);
  }

  /** It could not be started, and nobody waits who would ask again. */
  bootLater(): void {
    this.#failures += 1;
    this.#scheduleRestart(restartDelayMs({ policy: 'always', maxRetries: null }, failedStart, this.#failures) ?? 1000);
    this.host.events.emit('machine.restart-failed', this.id, `${this.spec.name} could not be started again: ${this.record.error}`, {
      restartAt: this.#restart?.at,
    });
  }

  #scheduleRestart(delayMs: number): void {
    this.#cancelRestart();
    const begin = () =>
      void this.turn(() => this.#bootAgain(restart), Infinity).catch((error: unknown) =>
        this.host.logger.error({ machine: this.id, error: messageChain(error) }, 'a restart failed'),
      );
    const restart: Restart = { at: new Date(Date.now() + delayMs).toISOString(), timer: setTimeout(begin, delayMs) };
    this.#restart = restart;
  }

  /** Until it has come to something it is neither at rest nor `failed`. */
  async #bootAgain(restart: Restart): Promise<void> {
    if (this.#restart !== restart) return; // an action came before
    this.#restart = null;
    if (this.record.desired !== 'running' || this.#run !== null) return;
    this.#transition = 'provisioning';
    this.record.restarts += 1;
    this.host.events.emit('machine.restarting', this.id, `${this.spec.name} is started again (${this.record.restarts})`, { restarts: this.record.restarts });
    try {
      await this.boot();
    } catch {
      this.bootLater();
    } finally {
      this.#transition = null;
      await this.save();
    }
  }

  forgetFailures(): void {
    this.#failures = 0;
    this.record.restarts = 0;
  }

  #cancelRestart(): void {
    if (this.#restart !== null) clearTimeout(this.#restart.timer);
    this.#restart = null;
  }
}
