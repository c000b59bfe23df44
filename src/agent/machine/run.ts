/**
 * One run of a machine: from a prepared sandbox to its first process, and back to nothing. Every step of the way up has its undo,
 * taken in reverse when a later one fails; the way down takes the same undos, each harmless when there is nothing left to do,
 * so that recovery after a crash is the same code.
 */
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CenoteError, messageChain } from '../../base/errors.ts';
import { emptyDirectory } from '../../host/runtime/run-directory.ts';
import type { ExecProcess, RuntimeProcess } from '../../host/runtime/runtime.ts';
import { machineSpecification, maskedDirectories } from '../../host/runtime/specification.ts';
import { commandOf } from '../../model/command.ts';
import { hasPreparedLink } from '../../host/network/network.ts';
import type { RootRequest } from '../../host/rootfs/rootfs.ts';
import type { MachineSpec } from '../../model/machine.ts';
import { externalNetwork, nicsOf } from '../../model/nics.ts';
import { firewallMachine } from '../firewall.ts';
import type { Host } from '../host.ts';
import { metadataDirectory } from '../metadata/directory.ts';
import { processOf } from './process.ts';

export interface Run {
  slot: number;
  process: RuntimeProcess;
  /** What `exec` inherits. */
  defaults: () => ExecProcess;
}

const logLimitMib = 16;

export const rootMount = (host: Host, id: string): string => join(host.runDirectory, 'roots', id);
const filesOf = (host: Host, id: string): string => join(host.runDirectory, 'files', id);

/** `onSlot` is awaited before the first process is let go: what it saves tells recovery that the run is meant to be. */
export const bringUp = async (host: Host, spec: MachineSpec, onSlot: (slot: number, trees: string[]) => Promise<void>): Promise<Run> => {
  using _place = await host.startPlaces.acquire();
  const { id } = spec;
  const timings: Record<string, number> = {};
  let step = 'checking';
  let since = performance.now();
  const next = (name: string) => {
    const now = performance.now();
    timings[step] = Math.round((now - since) * 100) / 100;
    [step, since] = [name, now];
    host.crash.reach(`start: ${name}`);
  };
  await using undo = new AsyncDisposableStack();
  try {
    const args = commandOf(spec);
    next('taking a sandbox');
    const sandbox = await host.sandboxes.take(hasPreparedLink(nicsOf(spec), externalNetwork) ? 'external' : 'none');
    undo.defer(() => letGo(host, sandbox.slot));
    undo.defer(() => host.sandboxes.started(sandbox));
    next('claiming published ports');
    if (spec.publish.length > 0) {
      // A program of the host may have begun to listen since the machine was made, or ran last.
      await host.network.checkPublish(spec.publish, nicsOf(spec));
      await host.ports.claim(id, spec.publish);
      undo.defer(() => host.ports.release(id));
    }
    const parts = await host.platforms.rootParts(spec.image, spec.platform);
    const saved = onSlot(sandbox.slot, parts.lowers);
    saved.catch(() => {}); // awaited below; a failure of another step must not leave it unheard
    next('mounting the root file system');
    const root = rootMount(host, id);
    undo.defer(() => host.roots.unmount(root)); // also what is mounted and refused
    await mountWritable(host, id, { target: root, lowers: parts.lowers, usr: parts.usr, volume: host.storage.volumePath(id), idmapFd: sandbox.idmapFd });
    next('reading its user');
    const defaults = processOf(spec, root);
    next('creating the first process');
    undo.defer(() => takeProcesses(host, id));
    const created = host.runtime.create({
      machine: id,
      logLimitMib,
      specification: machineSpecification({
        hostname: spec.name,
        root,
        args,
        ...defaults,
        userNamespace: sandbox.userNamespace,
        networkNamespace: sandbox.networkNamespace,
        cgroupsPath: host.cgroups.path(id),
        oomScoreAdj: host.cgroups.oomScore(spec.resources.memoryMib),
        masked: maskedDirectories.filter((path) => existsSync(path)),
        empty: join(host.runDirectory, emptyDirectory),
        files: { ...writeFiles(host, spec), '/.zonecontrol': metadataDirectory(host) },
        lxcfs: host.lxcfs(),
      }),
    });
    // The network is connected while the runtime works: neither needs the other.
    const { address, nics, publish, resources } = spec;
    const connection = { slot: sandbox.slot, machine: id, address, nics, publish, guaranteeMbps: resources.networkMbps };
    const connected = guardedConnect(host, spec, () => host.network.connect(connection, sandbox.networkNamespaceFd, resources.networkCeilingMbps));
    // Taken back only when it is done: what is connected after it was disconnected would stay, and keep the address from the next run.
    undo.defer(settled(connected));
    const process = await created;
    // The machine has its mounts to itself by now; the host's table is as short as before.
    const unmounted = host.roots.unmount(root);
    undo.defer(settled(unmounted));
    next('setting its limits');
    await host.cgroups.apply(id, spec.resources);
    next('connecting its network');
    await connected;
    await unmounted;
    next('writing the journal');
    await saved;
    next('starting the first process');
    await host.runtime.start(id);
    undo.move();
    host.sandboxes.started(sandbox);
    next('done');
    host.logger.debug({ machine: id, timings }, 'started');
    return { slot: sandbox.slot, process, defaults: () => defaults };
  } catch (error) {
    throw startFailure(step, error);
  }
};

/** Overlay makes a directory for itself each time, for which a volume that is full to the last byte has no room, and then can only be read. */
export const mountWritable = async (host: Host, id: string, request: RootRequest): Promise<void> => {
  if (await host.roots.mount(request)) return;
  await host.roots.unmount(request.target);
  await host.storage.withRoom(id, async () => {
    if (!(await host.roots.mount(request))) throw new CenoteError('failed', 'its disk can only be read: the host’s log says why');
  });
};

/** The firewall knows a machine before its first packet. */
const guardedConnect = async (host: Host, spec: MachineSpec, connect: () => Promise<void>): Promise<void> => {
  await host.network.firewall.setMachine(firewallMachine(spec));
  host.crash.reach('start: known to the firewall');
  await connect();
};

/** Waits for the end of something begun beside other steps, however it ends; heard of at once, since a failure that nobody hears of ends the agent. */
const settled = (work: Promise<unknown>): (() => Promise<void>) => {
  const end = work.then(
    () => {},
    () => {},
  );
  return () => end;
};

/** Idempotent; afterwards no process, mount, group, link or port of the run is left. */
export const takeDown = async (host: Host, id: string, slot: number | null): Promise<void> => {
  await takeProcesses(host, id);
  host.crash.reach('end: before the mount');
  await host.roots.unmount(rootMount(host, id));
  host.crash.reach('end: before the ports');
  await host.ports.release(id);
  if (slot !== null) await letGo(host, slot);
};

const letGo = async (host: Host, slot: number) => {
  host.crash.reach('end: before the link');
  await host.network.disconnect(slot);
  host.crash.reach('end: after the link');
  host.sandboxes.release(slot);
};

const takeProcesses = async (host: Host, id: string) => {
  host.crash.reach('end: before the kill');
  await host.cgroups.kill(id);
  host.crash.reach('end: before the control group');
  await host.cgroups.remove(id);
  host.crash.reach('end: before the bundle');
  await host.runtime.remove(id);
  rmSync(filesOf(host, id), { recursive: true, force: true });
};

/** Files every start writes anew, and a change of NICs, bound read-only into the machine. */
export const writeFiles = (host: Host, spec: MachineSpec): Record<string, string> => {
  const directory = filesOf(host, spec.id);
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o711);
  const content = {
    hostname: `${spec.name}\n`,
    hosts: `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n${spec.address} ${spec.name}\n`,
    'resolv.conf': host.network.resolvConf(host.names.searchOf(spec.account), spec.nics),
  };
  return Object.fromEntries(
    Object.entries(content).map(([name, text]) => {
      writeFileSync(join(directory, name), text);
      chmodSync(join(directory, name), 0o644);
      return [`/etc/${name}`, join(directory, name)];
    }),
  );
};

const startFailure = (step: string, error: unknown): CenoteError => {
  if (error instanceof CenoteError) {
    return new CenoteError(error.code, step === 'checking' ? error.message : `${step}: ${error.message}`, {
      cause: error.cause,
      fields: error.fields,
      advice: error.advice,
    });
  }
  return new CenoteError('failed', `${step}: ${messageChain(error)}`, { context: { stack: error instanceof Error ? error.stack : undefined } });
};
