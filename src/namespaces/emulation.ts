/**
 * Programs of another architecture in testbeds: qemu of the host, registered in the binfmt_misc of the holder's user namespace
 * (Linux 6.7), or the machine's own registration where there is one. The registration has an effect in this user namespace only.
 */
import { TestbedError } from '../errors.ts';
import { failureText } from '../helper.ts';
import { executionOf } from './execution.ts';
import type { Holder } from './holder.ts';
import { type Machine, registration } from './machines.ts';
import * as steps from './steps.ts';

/** Made by the stage (helper/stage.c). */
const MOUNT_POINT = '/mnt/binfmt';

/** Registers for all testbeds of a holder, where that is needed. @throws TestbedError */
export async function emulate(holder: Holder, machine: Machine, host: string): Promise<void> {
  const execution = executionOf(machine, host);
  if (execution.kind === 'native' || execution.kind === 'host-wide') return;
  const what = `programs of the architecture ${machine.name} cannot run here`;
  if (execution.kind === 'none') {
    throw new TestbedError(`${what}: ${execution.why}`, { code: 'NO_EMULATION', remedy: execution.remedy });
  }
  const run = holder.run('', [
    steps.root('/'),
    steps.mount('binfmt_misc', MOUNT_POINT, 'nosuid,nodev,noexec'),
    steps.append(`${MOUNT_POINT}/register`, registration(machine, execution.interpreter)),
  ]);
  if ((await run.ended) === 0) return;
  const why = run.failure === undefined ? 'its process was killed' : failureText(run.failure);
  throw new TestbedError(`${what}: ${why}`, {
    code: 'NO_EMULATION',
    remedy: 'as root: modprobe binfmt_misc, or apt-get install qemu-user-static binfmt-support',
  });
}
