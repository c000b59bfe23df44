/** What is done with a machine: one path, and a parameter `action` that says what. Each is accepted, and then waited for by looking. */
import { Type } from 'typebox';
import type { TObject } from 'typebox';
import type { Static } from 'typebox';
import type { Accepted } from '../../../model/control-api.ts';
import { machineFirewall, machineProtect, machineReboot, machineRename, machineResize, machineStart, machineStop } from '../../app/machine-change.ts';
import type { Call, Endpoint } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { invalidArgument } from '../refusal.ts';
import { machineOf } from './machine.ts';
import { packageRef } from './package.ts';

const none = Type.Object({});

const actionEndpoint = <Parameters extends TObject>(
  name: string,
  action: string,
  parameters: Parameters,
  act: (call: Call<Static<Parameters>>, id: string) => Promise<Accepted>,
): Endpoint =>
  endpoint({
    name,
    method: 'POST',
    path: '/:account/machines/:machine',
    action,
    status: 202,
    parameters,
    answer: null,
    handle: async (call) => {
      const { id } = await machineOf(call);
      await act(call, id);
      return {};
    },
  });

export const machineActionEndpoints = [
  actionEndpoint('StartMachine', 'start', none, ({ control, context }, id) => machineStart(control, context, id)),
  actionEndpoint('StopMachine', 'stop', none, ({ control, context }, id) => machineStop(control, context, id, {})),
  actionEndpoint('RebootMachine', 'reboot', none, ({ control, context }, id) => machineReboot(control, context, id, {})),
  actionEndpoint('ResizeMachine', 'resize', Type.Object({ package: Type.String({ minLength: 1, maxLength: 128 }) }), async (call, id) => {
    const wanted = await packageRef(call, call.parameters.package);
    if (wanted === undefined) throw invalidArgument('package', `there is no package ${call.parameters.package.slice(0, 80)}`);
    return machineResize(call.control, call.context, id, { package: wanted });
  }),
  actionEndpoint('RenameMachine', 'rename', Type.Object({ name: Type.String({ minLength: 1, maxLength: 189 }) }), ({ control, context, parameters }, id) =>
    machineRename(control, context, id, parameters.name),
  ),
  actionEndpoint('EnableMachineFirewall', 'enable_firewall', none, ({ control, context }, id) => machineFirewall(control, context, id, true)),
  actionEndpoint('DisableMachineFirewall', 'disable_firewall', none, ({ control, context }, id) => machineFirewall(control, context, id, false)),
  actionEndpoint('EnableMachineDeletionProtection', 'enable_deletion_protection', none, ({ control, context }, id) =>
    machineProtect(control, context, id, true),
  ),
  actionEndpoint('DisableMachineDeletionProtection', 'disable_deletion_protection', none, ({ control, context }, id) =>
    machineProtect(control, context, id, false),
  ),
];
