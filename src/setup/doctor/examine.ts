/** Looks at the whole host; changes nothing. */
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { detectLayout } from '../../host/cgroup/layout.ts';
import { instancePaths } from '../../model/instance.ts';
import { capabilitiesOfRoot, fileSystems, hasBfq, loadableModules, readText } from '../host-view.ts';
import { readSetting } from '../kernel-settings.ts';
import type { Finding } from './finding.ts';
import { examineFlows } from './flows.ts';
import { examineForwarding } from './forwarding.ts';
import { examineIdleMemory } from './idle-memory.ts';
import { examineKernel } from './kernel.ts';
import { examineInstance, examinePrograms } from './programs.ts';
import { examineRoom } from './room.ts';
import { examineShaping } from './shaping.ts';

export const examineHost = async (root: string): Promise<Finding[]> => {
  const layout = detectLayout();
  const kernel = examineKernel({
    release: release(),
    layout,
    unifiedControllers: layout.unified === null ? [] : (readText(`${layout.unified}/cgroup.controllers`) ?? '').trim().split(' ').filter(Boolean),
    fileSystems: [...fileSystems(), ...loadableModules(release())],
    capabilities: capabilitiesOfRoot(),
    hasPressure: existsSync('/proc/pressure/cpu'),
    hasBfq: hasBfq(),
    maxUserNamespaces: readSetting('user.max_user_namespaces'),
  });
  const network = [...(await examineForwarding()), await examineShaping(), ...(await examineFlows())];
  return [...kernel, ...(await examinePrograms()), ...network, ...examineRoom(root), examineIdleMemory(), ...(await examineInstance(instancePaths(root)))];
};
